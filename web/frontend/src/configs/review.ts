// The last look before something is applied: what differs from what is live, why, and how long it may stand unconfirmed.
import { unifiedMergeView } from "@codemirror/merge";
import { EditorState } from "@codemirror/state";
import { EditorView, lineNumbers } from "@codemirror/view";
import { $ } from "./page";
import { look } from "./look";
import { nginxSupport } from "./nginx";

/** Shows it and waits for the answer. */
export async function review(live: string, mine: string, nonce: string): Promise<boolean> {
  const dialog = $<HTMLDialogElement>("#config-review");
  const place = dialog && $("[data-review-diff]", dialog);
  const words = dialog && $("[data-review-words]", dialog);
  if (!dialog || !place || !words) return false;
  words.textContent = live
    ? "It is tested on the host first. If nginx does not take it, everything stays as it is."
    : "A new file. It is tested on the host first; if nginx does not take it, nothing is made.";
  const extensions = [lineNumbers(), nginxSupport, look, EditorView.cspNonce.of(nonce), EditorState.readOnly.of(true), EditorView.editable.of(false),
    EditorView.contentAttributes.of({ "aria-label": "What would change", tabindex: "0" }), EditorView.lineWrapping];
  const compare = unifiedMergeView({ original: live, mergeControls: false, gutter: true, collapseUnchanged: { margin: 3, minSize: 6 } });
  const view = new EditorView({ parent: place, doc: mine, extensions: live ? [...extensions, compare] : extensions });
  const manner = $("#config-manner");
  const home = manner?.parentElement;
  const next = manner?.nextSibling ?? null;
  if (manner) $("[data-review-manner]", dialog)?.append(manner);
  dialog.returnValue = "";
  dialog.showModal();
  $<HTMLInputElement>("#config-reason")?.focus();
  const onEnter = (event: KeyboardEvent): void => {
    const apply = (event.key === "Enter" && (event.target as Element).matches("#config-reason")) || ((event.ctrlKey || event.metaKey) && event.key === "Enter");
    if (!apply) return;
    event.preventDefault();
    dialog.close("yes");
  };
  dialog.addEventListener("keydown", onEnter);
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  dialog.removeEventListener("keydown", onEnter);
  if (manner && home) home.insertBefore(manner, next);
  view.destroy();
  return dialog.returnValue === "yes";
}
