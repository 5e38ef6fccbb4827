// Forms that are answered in place.
import { ask } from "./dialogs";
import { $, answer, morph, parse, toLogin } from "./dom";
import { prove } from "./people";

/** Asks for fragments instead of a page. */
export const fragmentHeaders = { Accept: "text/html; fragment=1", "X-Requested-With": "hms" };

interface Busy {
  done(): void;
}

/** The button becomes its own progress and keeps its width; its neighbours wait. */
function busy(form: HTMLFormElement, submitter?: HTMLButtonElement | null): Busy {
  const group = form.closest<HTMLElement>(".actions") ?? form;
  const button = submitter ?? $<HTMLButtonElement>("button:not([type='button'])", form);
  const buttons = [...group.querySelectorAll<HTMLButtonElement>("button")].filter((one) => !one.disabled);
  const icon = button && $(".icon", button);
  const word = button && ($("span:not(.icon, .hidden)", button) ?? button);
  const before = { icon: icon?.className, word: word?.textContent };
  group.dataset["busy"] = "";
  for (const one of buttons) one.setAttribute("aria-disabled", "true");
  if (button) {
    button.style.minWidth = `${button.offsetWidth}px`;
    button.setAttribute("aria-busy", "true");
    if (icon) icon.className = "icon icon-running";
    if (word && button.dataset["doing"]) word.textContent = button.dataset["doing"];
  }
  return {
    done() {
      delete group.dataset["busy"];
      for (const one of buttons) one.removeAttribute("aria-disabled");
      if (!button) return;
      button.removeAttribute("aria-busy");
      button.removeAttribute("style");
      if (icon && before.icon) icon.className = before.icon;
      if (word && before.word) word.textContent = before.word;
    },
  };
}

/** What a page says that was not made to be put in place: its headline and first sentence. */
function gist(content: DocumentFragment): string {
  const title = $("h1", content)?.textContent ?? "The controller gave an answer that is no page.";
  const more = $("main p:not(.brand, .code)", content)?.textContent ?? "";
  return `${title.trim().replace(/\.$/, "")}. ${more.trim()}`;
}

/** The only copy of a message never goes away by itself. */
function tell(form: HTMLFormElement, words: string): void {
  const row = form.closest("tbody, section, li");
  const outcome = row && $(".outcome", row);
  const note = document.createElement("div");
  note.className = "notice notice-bad";
  note.setAttribute("role", "alert");
  const text = document.createElement("p");
  text.textContent = words;
  note.append(text);
  if (outcome) {
    const body = document.createElement("div");
    body.className = "outcome-body outcome-unknown";
    body.append(text);
    outcome.replaceChildren(body);
    return;
  }
  $(".notice[data-told]", form.parentElement ?? form)?.remove();
  note.dataset["told"] = "";
  form.before(note);
}

async function send(form: HTMLFormElement, submitter: HTMLElement | null): Promise<void> {
  const button = submitter as HTMLButtonElement | null;
  const action = button?.hasAttribute("formaction") ? button.formAction : form.action;
  const data = new URLSearchParams();
  for (const [name, value] of new FormData(form, submitter)) data.append(name, String(value));
  const state = busy(form, button);
  const focused = document.activeElement;
  try {
    const response = await fetch(action, { method: "POST", headers: fragmentHeaders, body: data });
    if (response.status === 401) return toLogin();
    const text = await response.text();
    state.done();
    // What was typed stays in the form, and is sent again once it is proved who sends it.
    if (response.headers.has("x-hms-confirm")) return (await prove()) ? send(form, submitter) : undefined;
    if (response.redirected) return location.assign(response.url);
    const content = parse(text);
    // A whole page was not made to be put in place: an error page, most likely.
    const isPage = /^\s*<!doctype/i.test(text);
    if (isPage || !answer(content)) tell(form, gist(content));
    if (focused && !focused.isConnected) $<HTMLElement>("button, a", document.getElementById(rowOf(form)) ?? document)?.focus();
  } catch {
    state.done();
    tell(form, "The controller did not answer. Whether this was done is not known: look at Audit once it is back.");
  }
}

const rowOf = (form: HTMLFormElement): string => form.closest("[id]")?.id ?? "main";

/** Asks for this page again and takes over what changed. */
export async function refresh(): Promise<void> {
  const response = await fetch(location.href, { headers: { "X-Requested-With": "hms" } });
  if (response.status === 401 || new URL(response.url).pathname === "/login") return toLogin();
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const [old, main] = [$("main"), fresh.querySelector("main")];
  if (old && main) morph(old, main, true);
}

async function onSubmit(event: SubmitEvent): Promise<void> {
  const form = event.target as HTMLFormElement;
  const group = form.closest<HTMLElement>(".actions") ?? form;
  if ("busy" in group.dataset) return event.preventDefault();
  if (!form.matches("[data-action]")) {
    if (form.method === "post" && $("[data-doing]", form)) busy(form);
    return;
  }
  event.preventDefault();
  const question = { ...form.dataset, ...event.submitter?.dataset };
  if (question["confirmTitle"] && !(await ask(question))) return;
  await send(form, event.submitter);
}

/** A filter without a value does not belong into the address. */
function onFormData(event: FormDataEvent): void {
  if (!(event.target as Element).matches("[data-filters]")) return;
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
}

async function onClick(event: MouseEvent): Promise<void> {
  const target = event.target as Element;
  const dismiss = target.closest("[data-dismiss]");
  if (dismiss) dismiss.closest("[data-keep]")?.replaceChildren();
  const copy = target.closest<HTMLElement>("[data-copy]");
  const text = copy && $("pre", copy.parentElement ?? copy)?.textContent;
  if (copy && text) {
    await navigator.clipboard.writeText(text);
    const word = $("span:not(.icon)", copy);
    if (word) word.textContent = "Copied";
  }
}

export function startActions(): void {
  document.addEventListener("submit", (event) => void onSubmit(event));
  document.addEventListener("formdata", onFormData);
  document.addEventListener("click", (event) => void onClick(event));
  document.addEventListener("change", (event) => {
    const field = event.target as HTMLElement;
    if (field.matches("[data-filters] select, [data-filters] [type=checkbox][name]")) field.closest("form")?.requestSubmit();
  });
}
