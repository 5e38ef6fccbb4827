// The catalogue's search, and the form of a script: what it would do is shown as it is filled in.
import { fragmentHeaders } from "./actions";
import { $, answer, parse, toLogin } from "./dom";

/** After the last key. */
const QUIET = 250;

function startSearch(): void {
  const list = $("[data-search-list]");
  const field = list && $<HTMLInputElement>("[data-search-field]", list);
  if (!list || !field) return;
  const search = (): void => {
    const words = field.value.toLowerCase().split(/\s+/);
    let found = 0;
    for (const row of list.querySelectorAll<HTMLElement>("[data-search-row]")) {
      const text = ($(".script-what", row)?.textContent ?? "").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      found += row.hidden ? 0 : 1;
    }
    const [count, none] = [$("[data-search-count]", list), $("[data-search-none]", list)];
    if (count) count.textContent = String(found);
    if (none) none.hidden = found > 0;
    const url = new URL(location.href);
    if (field.value) url.searchParams.set("q", field.value);
    else url.searchParams.delete("q");
    history.replaceState(history.state, "", url);
  };
  field.addEventListener("input", search);
  field.form?.addEventListener("submit", (event) => {
    event.preventDefault();
    // The one that is found is what was meant.
    const rows = [...list.querySelectorAll<HTMLElement>("[data-search-row]:not([hidden]) h3 a")];
    if (rows.length === 1) rows[0]?.click();
  });
  $("[data-search-clear]", list)?.addEventListener("click", (event) => {
    event.preventDefault();
    field.value = "";
    search();
    field.focus();
  });
}

/** Tells screen readers which fields do not fit. */
function markInvalid(): void {
  for (const error of document.querySelectorAll<HTMLElement>(".field-error[data-for]")) {
    const input = document.getElementById(error.dataset["for"] ?? "");
    if (error.textContent?.trim()) input?.setAttribute("aria-invalid", "true");
    else input?.removeAttribute("aria-invalid");
  }
  const cron = $("#cron");
  if (cron && !$("#cron-times .field-error")) cron.removeAttribute("aria-invalid");
}

class Form {
  #timer: number | undefined;
  #asked: AbortController | undefined;

  constructor(readonly form: HTMLFormElement) {
    const later = (): void => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#preview(), QUIET);
    };
    form.addEventListener("input", later);
    form.addEventListener("change", (event) => {
      this.#takeHostOf(event.target as Element);
      later();
    });
    void this.#preview();
  }

  async #preview(): Promise<void> {
    this.#asked?.abort();
    this.#asked = new AbortController();
    const body = new URLSearchParams();
    for (const [name, value] of new FormData(this.form)) body.append(name, String(value));
    try {
      const init = { method: "POST", headers: fragmentHeaders, body, signal: this.#asked.signal };
      const response = await fetch(this.form.dataset["preview"] ?? "", init);
      if (response.status === 401) return toLogin();
      const text = await response.text();
      if (/^\s*<!doctype/i.test(text) || "busy" in this.form.dataset) return;
      answer(parse(text));
      markInvalid();
      this.form.dataset["confirmText"] = $("#preview")?.dataset["question"] ?? "";
    } catch {
      // Somebody typed on, or the controller is away: the form itself says so when it is sent.
    }
  }

  /** Whoever chooses an app means the host that it is on. */
  #takeHostOf(changed: Element): void {
    if (!(changed instanceof HTMLSelectElement)) return;
    const host = changed.selectedOptions[0]?.dataset["host"];
    if (!host) return;
    const some = $<HTMLInputElement>("[name=on][value=hosts]", this.form);
    if (some) some.checked = true;
    for (const box of this.form.querySelectorAll<HTMLInputElement>("[name=host]")) box.checked = box.value === host;
  }
}

export function startScripts(): void {
  startSearch();
  const form = $<HTMLFormElement>("form[data-preview]");
  if (form) new Form(form);
}
