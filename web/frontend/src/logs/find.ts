// Finding in the rows that are here, and painting what is found.
import { $, spot } from "../dom";
import type { List, Row } from "./list";

/** Typing settles for so long. */
const PAUSE = 150;

/** What a row says. */
export function textOf(row: Row): string {
  const from = row.h.indexOf('class="log-message">');
  const html = from < 0 ? row.h : row.h.slice(from + 20);
  const text = html.replace(/<[^>]*>/g, "");
  return text.includes("&") ? text.replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code))).replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"').replace(/&amp;/g, "&") : text;
}

/** The expression of the hosts, where this browser understands it, too. */
function pattern(sought: string): RegExp | undefined {
  const flags = /^\(\?([a-z]+)\)/.exec(sought);
  const ignore = flags?.[1]?.includes("i") ? "i" : "";
  try {
    return sought ? new RegExp(sought.slice(flags?.[0].length ?? 0), `g${ignore}`) : undefined;
  } catch {
    return undefined;
  }
}

export class Find {
  readonly #list: List;
  readonly #field = $<HTMLInputElement>("#logs-q");
  #pattern: RegExp | undefined;
  #at: Row | undefined;
  #timer: number | undefined;

  constructor(list: List) {
    this.#list = list;
    this.#pattern = pattern(this.#field?.value ?? "");
    list.onDraw(() => this.#paint());
    this.#field?.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#changed(), PAUSE);
    });
    for (const button of document.querySelectorAll<HTMLElement>("#log [data-find-step]")) {
      button.addEventListener("click", () => this.step(Number(button.dataset["findStep"]) < 0 ? -1 : 1));
    }
  }

  #changed(): void {
    this.#pattern = pattern(this.#field?.value ?? "");
    this.#at = undefined;
    this.#paint();
    this.#count();
  }

  #matches(row: Row): boolean {
    if (!this.#pattern || row.p > 7) return false;
    this.#pattern.lastIndex = 0;
    return this.#pattern.test(textOf(row));
  }

  /** To the next or the previous match, around the end. */
  step(by: 1 | -1): void {
    const { rows } = this.#list;
    if (!this.#pattern || !rows.length) return;
    const begin = this.#at ?? this.#list.active;
    let at = begin ? rows.indexOf(begin) : by > 0 ? -1 : rows.length;
    for (let tried = 0; tried < rows.length; tried += 1) {
      at = (at + by + rows.length) % rows.length;
      const row = rows[at] as Row;
      if (!this.#matches(row)) continue;
      this.#at = row;
      this.#list.reveal(row);
      break;
    }
    this.#paint();
    this.#count();
  }

  #count(): void {
    const words = $("#log [data-found]");
    if (!words) return;
    const found = this.#pattern ? this.#list.rows.filter((row) => this.#matches(row)) : [];
    const at = this.#at ? found.indexOf(this.#at) : -1;
    words.textContent = !this.#pattern ? "" : found.length ? (at < 0 ? `${found.length} here` : `${at + 1} of ${found.length}`) : "none here";
  }

  #paint(): void {
    if (!("highlights" in CSS)) return;
    const [found, here] = [new Highlight(), new Highlight()];
    if (this.#pattern) {
      for (const [row, element] of this.#list.elements()) {
        const message = $(".log-message", element);
        if (!message) continue;
        for (const range of ranges(message, this.#pattern)) (row === this.#at ? here : found).add(range);
      }
    }
    CSS.highlights.set("found", found);
    CSS.highlights.set("here", here);
  }
}

function ranges(message: Element, sought: RegExp): Range[] {
  const found: Range[] = [];
  for (const match of (message.textContent ?? "").matchAll(sought)) {
    const [from, to] = [spot(message, match.index), spot(message, match.index + match[0].length)];
    if (!match[0] || !from || !to) continue;
    const range = new Range();
    range.setStart(...from);
    range.setEnd(...to);
    found.push(range);
  }
  return found;
}
