// Questions, the palette, the keys.
import { $ } from "./dom";

/** Asks before something that hurts. The safe answer has the focus. */
export function ask(question: DOMStringMap): Promise<boolean> {
  const dialog = $<HTMLDialogElement>("#confirm");
  if (!dialog) return Promise.resolve(confirm(question["confirmText"]));
  const set = (selector: string, text: string | undefined): void => {
    const element = $(selector, dialog);
    if (element) element.textContent = text ?? "";
  };
  set("#confirm-title", question["confirmTitle"]);
  set("#confirm-text", question["confirmText"]);
  set("[data-confirm-yes]", question["confirmYes"] ?? "Go on");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

const options = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>("#palette-list [role=option]")];
const shown = (): HTMLElement[] => options().filter((option) => !option.hidden);

function select(option: HTMLElement | undefined): void {
  for (const other of options()) other.setAttribute("aria-selected", String(other === option));
  $("#palette-search")?.setAttribute("aria-activedescendant", option?.id ?? "");
  option?.scrollIntoView({ block: "nearest" });
}

function filter(): void {
  const words = ($<HTMLInputElement>("#palette-search")?.value ?? "").toLowerCase().split(/\s+/);
  for (const option of options()) {
    const text = (option.textContent ?? "").toLowerCase();
    option.hidden = !words.every((word) => text.includes(word));
  }
  const none = $(".palette-none");
  if (none) none.hidden = shown().length > 0;
  select(shown()[0]);
}

async function take(option: HTMLElement | undefined): Promise<void> {
  if (!option) return;
  $<HTMLDialogElement>("#palette")?.close();
  const { href, action, confirmText } = option.dataset;
  if (href) return location.assign(href);
  if (!action) return;
  const there = [...document.forms].find((form) => form.getAttribute("action") === action);
  if (there) return there.requestSubmit();
  if (confirmText && !(await ask({ confirmTitle: `${option.dataset["name"]}?`, confirmText }))) return;
  const form = document.createElement("form");
  form.method = "post";
  form.action = action;
  document.body.append(form);
  form.submit();
}

function openPalette(): void {
  const dialog = $<HTMLDialogElement>("#palette");
  const search = $<HTMLInputElement>("#palette-search");
  if (!dialog || !search || document.querySelector("dialog[open]")) return;
  search.value = "";
  filter();
  dialog.showModal();
  search.focus();
}

function onPaletteKey(event: KeyboardEvent): void {
  const all = shown();
  const at = all.findIndex((option) => option.getAttribute("aria-selected") === "true");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) select(all.at((at + step) % all.length));
  else if (event.key === "Enter") void take(all[at]);
  else return;
  event.preventDefault();
}

let wentG = 0;
function onKey(event: KeyboardEvent): void {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    return openPalette();
  }
  const target = event.target as HTMLElement;
  const typing = target.matches("input, select, textarea, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "?") $<HTMLDialogElement>("#keys")?.showModal();
  else if (event.key === "/") {
    const search = $<HTMLInputElement>("[data-search]");
    search?.focus();
    if (!search) openPalette();
    event.preventDefault();
  } else if (event.key === "g") wentG = event.timeStamp;
  else if (event.timeStamp - wentG < 1500) {
    const link = $<HTMLAnchorElement>(`.rail [data-key="${CSS.escape(event.key)}"]`);
    wentG = 0;
    link?.click();
  }
}

export function startDialogs(): void {
  document.addEventListener("keydown", onKey);
  $("#palette-search")?.addEventListener("input", filter);
  $("#palette")?.addEventListener("keydown", onPaletteKey);
  $("#palette-list")?.addEventListener("click", (event) => {
    void take((event.target as Element).closest<HTMLElement>("[role=option]") ?? undefined);
  });
  document.addEventListener("click", (event) => {
    const target = event.target as Element;
    if (target.closest("[data-open=palette]")) openPalette();
    if (target instanceof HTMLDialogElement) target.close();
    for (const menu of document.querySelectorAll<HTMLDetailsElement>("details.menu[open], details.remove[open]")) {
      if (!menu.contains(target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && $<HTMLDetailsElement>("details.menu[open], details.remove[open]");
    if (!menu) return;
    menu.open = false;
    $("summary", menu)?.focus();
  });
}
