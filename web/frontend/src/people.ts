// Passwords and codes: rules as they are kept, the code of an invitation, proof of who somebody is, codes to keep.
import { $, parse, toLogin } from "./dom";

const headers = { Accept: "text/html; fragment=1", "X-Requested-With": "hms" };

/** Which rules a password keeps, while it is typed. What only the server knows is not guessed. */
function judge(field: HTMLInputElement): void {
  const rules = document.getElementById(field.dataset["rules"] ?? "");
  const twin = document.getElementById(field.dataset["same"] ?? "") as HTMLInputElement | null;
  const length = [...field.value].length;
  for (const rule of rules?.querySelectorAll<HTMLElement>("[data-rule]") ?? []) {
    const shortest = Number(rule.dataset["shortest"]);
    const isLength = rule.dataset["rule"] === "length";
    const kept = isLength ? length >= shortest : length > 0 && twin?.value === field.value;
    rule.dataset["kept"] = kept ? "yes" : "no";
    const count = $("[data-count]", rule);
    if (count) count.textContent = length && !kept ? `(${length} so far)` : "";
  }
}

function onInput(event: Event): void {
  const field = event.target as HTMLInputElement;
  if (field.dataset["rules"]) return judge(field);
  const other = field.id && $<HTMLInputElement>(`[data-same="${CSS.escape(field.id)}"]`);
  if (other) judge(other);
}

/** The code stands behind the `#`, which browsers keep to themselves; it does not stay in the address or the history. */
function takeInvitation(): void {
  const place = $("[data-invitation]");
  const field = place && $<HTMLInputElement>("input", place);
  const code = decodeURIComponent(location.hash.slice(1));
  if (!place || !field || !code) return;
  field.value = code;
  history.replaceState(null, "", location.pathname);
  $<HTMLInputElement>("#password")?.focus();
}

/** Asks who it is, over what somebody was about to do. True when it is proved. */
export async function prove(): Promise<boolean> {
  const response = await fetch("/confirm", { headers });
  if (response.status === 401) {
    toLogin();
    return false;
  }
  const dialog = document.createElement("dialog");
  dialog.className = "dialog-proof";
  dialog.setAttribute("aria-labelledby", "proof-title");
  dialog.append(parse(await response.text()));
  document.body.append(dialog);
  dialog.showModal();
  $<HTMLInputElement>("#proof-password", dialog)?.focus();
  const proved = await new Promise<boolean>((resolve) => {
    dialog.addEventListener("submit", (event) => void answerProof(event, dialog, resolve));
    dialog.addEventListener("click", (event) => {
      if (!(event.target as Element).closest("[data-proof-no]")) return;
      event.preventDefault();
      dialog.close();
    });
    dialog.addEventListener("close", () => resolve(false));
  });
  dialog.remove();
  return proved;
}

async function answerProof(event: SubmitEvent, dialog: HTMLDialogElement, resolve: (proved: boolean) => void): Promise<void> {
  event.preventDefault();
  event.stopPropagation();
  const form = event.target as HTMLFormElement;
  const data = new URLSearchParams();
  for (const [name, value] of new FormData(form)) data.append(name, String(value));
  const button = $<HTMLButtonElement>("button", form);
  if (button) button.disabled = true;
  const response = await fetch("/confirm", { method: "POST", headers, body: data }).catch(() => undefined);
  if (response?.status === 204) return resolve(true);
  if (response?.status === 401) return toLogin();
  if (response) dialog.replaceChildren(parse(await response.text()));
  else if (button) button.disabled = false;
  $<HTMLInputElement>(data.get("code") ? "#proof-code" : "#proof-password", dialog)?.focus();
}

/** Codes as a file, made here: they are not fetched a second time. */
function download(button: HTMLElement): void {
  const text = $("[data-codes]", button.closest(".codes") ?? document)?.textContent;
  if (!text) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = button.dataset["download"] ?? "codes.txt";
  link.click();
  URL.revokeObjectURL(link.href);
}

export function startPeople(): void {
  document.addEventListener("input", onInput);
  document.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-download]");
    if (button) download(button);
  });
  takeInvitation();
  addEventListener("hashchange", takeInvitation);
}
