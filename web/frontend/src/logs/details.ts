// The fields of a line, under it.
import { $, toLogin } from "../dom";
import { textOf } from "./find";
import type { List, Row } from "./list";

export class Details {
  readonly #list: List;
  readonly #query: string;

  constructor(list: List, query: string) {
    this.#list = list;
    this.#query = query;
    list.box.addEventListener("click", (event) => this.#onClick(event));
  }

  #onClick(event: MouseEvent): void {
    const target = event.target as Element;
    const row = this.#list.rowOf(target);
    if (!row) return;
    if (target.closest("[data-fold]")) {
      row.unfolded = !row.unfolded;
      return this.#list.redraw(row);
    }
    const copy = target.closest<HTMLElement>("[data-copy-line]");
    if (copy) return void navigator.clipboard.writeText(textOf(row)).then(() => said(copy, "Copied"));
    // A click that selected something, or went into the fields, was not meant for the line.
    if (target.closest("a, button, .log-details") || !getSelection()?.isCollapsed || row.p > 7) return;
    this.#list.select(row);
    void this.toggle(row);
  }

  async toggle(row: Row | undefined): Promise<void> {
    if (!row?.k) return;
    if (row.details !== undefined) {
      delete row.details;
      return this.#list.redraw(row);
    }
    const query = new URLSearchParams(this.#query);
    query.set("key", row.k);
    row.details = '<div class="log-details"><p class="quiet">Reading its fields…</p></div>';
    this.#list.redraw(row);
    row.details = await this.#read(query);
    this.#list.redraw(row);
  }

  async #read(query: URLSearchParams): Promise<string> {
    const say = (words: string): string => `<div class="log-details"><p class="log-problem">${words}</p></div>`;
    try {
      const response = await fetch(`/logs/line?${query}`, { headers: { "X-Requested-With": "hms" } });
      if (response.status === 401) toLogin();
      if (!response.ok) return say("Its fields cannot be had.");
      // Many lines may be open at a time.
      return (await response.text()).replace(' id="log-details"', "");
    } catch {
      return say("The controller does not answer.");
    }
  }
}

export function said(button: HTMLElement, words: string): void {
  const word = $("span:not(.icon)", button);
  if (word) word.textContent = words;
}
