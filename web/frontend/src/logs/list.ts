// A list of very many rows, of which only those around the visible ones are in the page.
import { $, parse } from "../dom";

export interface Row {
  /** When, in microseconds since the epoch. */
  t: number;
  /** Priority; 8: no entry. */
  p: number;
  /** Host and cursor. */
  k?: string;
  /** Goes on with a stack trace. */
  c?: boolean;
  /** The number of a change. */
  m?: number;
  h: string;
  /** Measured, when it is not as high as the others. */
  height?: number;
  /** Its fields, when they are shown. */
  details?: string;
  /** The stack trace behind it is shown. */
  unfolded?: boolean;
}

/** More are not kept; the page says so. */
export const MOST = 100_000;
/** When there are more, so many are let go at once. */
const BLOCK = 5_000;
/** So many rows before and after the visible ones are in the page, too. */
const OVER = 100;
/** So near to the end counts as the end. */
const NEAR = 24;
/** Stack traces are folded from so many lines on. */
const FOLD = 2;

export class List {
  readonly box: HTMLElement;
  readonly #list: HTMLElement;
  rows: Row[] = [];
  /** Indexes of the rows that are not folded away. */
  shown: number[] = [];
  following: boolean;
  /** Rows that came while somebody read further up. */
  missed = 0;
  wrapped = false;
  active: Row | undefined;
  /** How many rows were let go at the beginning. */
  dropped = 0;
  #height = 20;
  #tops: number[] = [0];
  #from = 0;
  #to = 0;
  #elements = new Map<Row, HTMLElement>();
  #folds = new Map<Row, number>();
  #queued = false;
  /** How many of the rows are entries. */
  #entries = 0;
  /** The row whose trace may go on, and what of it is there. */
  #head: Row | undefined;
  #frames: number[] = [];
  readonly #watchers: (() => void)[] = [];
  readonly #scrolled: (() => void)[] = [];

  constructor(root: HTMLElement) {
    this.box = $("[data-log-box]", root) as HTMLElement;
    this.#list = $("#log-rows", root) as HTMLElement;
    this.following = root.dataset["live"] === "true";
    for (const element of [...this.#list.children] as HTMLElement[]) {
      const { t, p, k, c, m } = element.dataset;
      const link = $(".log-time", element);
      if (link) link.replaceWith(...link.childNodes);
      const row: Row = { t: Number(t), p: Number(p), h: element.outerHTML, ...(k ? { k } : {}), ...(c === undefined ? {} : { c: true }), ...(m ? { m: Number(m) } : {}) };
      this.rows.push(row);
    }
  }

  start(): void {
    this.wrapped = readSetting("log-wrap") === "1";
    this.#list.classList.toggle("wrap", this.wrapped);
    const first = $(".log-row", this.#list);
    if (first && !this.wrapped) this.#height = first.getBoundingClientRect().height || this.#height;
    this.#list.replaceChildren();
    this.box.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    new ResizeObserver(() => this.#onResize()).observe(this.box);
    this.#refold();
    const around = this.box.closest<HTMLElement>("[data-around]")?.dataset["around"];
    const middle = around ? this.rows.find((row) => row.k === around) : undefined;
    if (middle) this.reveal(middle);
    else this.following ? this.toEnd() : this.#draw(true);
  }

  /** Calls back when other rows are in the page. */
  onDraw(act: () => void): void {
    this.#watchers.push(act);
  }

  onScroll(act: () => void): void {
    this.#scrolled.push(act);
  }

  elements(): Iterable<[Row, HTMLElement]> {
    return this.#elements;
  }

  append(rows: Row[]): void {
    if (!this.following && this.rows.length + rows.length > MOST) {
      this.missed += rows.length;
      this.#button();
      return;
    }
    const [before, drawn] = [this.rows.length, this.shown.length];
    for (const row of rows) this.rows.push(row);
    if (!this.following) this.missed += rows.filter((row) => row.p < 8).length;
    if (this.rows.length > MOST) {
      this.rows.splice(0, BLOCK);
      this.dropped += BLOCK;
      this.#refold();
    } else {
      this.#fold(before);
      this.#layout(Math.min(drawn, this.shown.length));
    }
    this.following ? this.toEnd() : this.#draw(true);
    this.#button();
  }

  /** Puts changes where they were made; one that is here already gets its outcome. Says whether any was news. */
  insert(marks: Row[]): boolean {
    const there = new Map(this.rows.filter((row) => row.m !== undefined).map((row) => [row.m, row]));
    const words = (row: Row): string => parse(row.h).textContent?.trim() ?? "";
    const news = marks.filter((mark) => {
      const old = there.get(mark.m);
      return old ? words(old) !== words(mark) : !this.#isEarlier(mark);
    });
    if (!news.length) return false;
    const at = this.#at(this.box.scrollTop);
    const [top, offset] = [this.rows[this.shown[at] ?? -1], this.box.scrollTop - (this.#tops[at] ?? 0)];
    for (const mark of news) {
      const old = there.get(mark.m);
      if (old) {
        old.h = mark.h;
        this.#stale(old);
      } else if (this.following || this.rows.length < MOST) this.rows.splice(this.#behind(mark), 0, mark);
    }
    this.#refold();
    if (this.following) this.toEnd();
    else {
      const now = top ? this.shown.indexOf(this.rows.indexOf(top)) : -1;
      if (now >= 0) this.box.scrollTop = (this.#tops[now] ?? 0) + offset;
      this.#draw(true);
    }
    return true;
  }

  /** What was changed before the first row comes with the rows that are loaded then. */
  #isEarlier(mark: Row): boolean {
    const first = this.rows.find((row) => row.p < 8);
    return first !== undefined && mark.t < first.t;
  }

  #behind(mark: Row): number {
    return this.rows.findLastIndex((row) => row.t <= mark.t) + 1;
  }

  prepend(rows: Row[]): void {
    const before = this.#total();
    const top = this.box.scrollTop;
    this.rows = [...rows, ...this.rows];
    this.#refold();
    this.box.scrollTop = top + this.#total() - before;
    this.#draw(true);
  }

  toEnd(): void {
    this.following = true;
    this.missed = 0;
    this.#from = this.#to = 0;
    this.#draw(true, this.shown.length);
    this.box.scrollTop = this.box.scrollHeight;
    this.#button();
  }

  setFollowing(on: boolean): void {
    if (on) return this.toEnd();
    this.following = false;
    this.#button();
  }

  setWrapped(on: boolean): void {
    this.wrapped = on;
    writeSetting("log-wrap", on ? "1" : "");
    this.#list.classList.toggle("wrap", on);
    const at = this.shown[this.#at(this.box.scrollTop)];
    for (const row of this.rows) delete row.height;
    this.#layout(0);
    this.#draw(true);
    if (this.following) this.toEnd();
    else if (at !== undefined) this.reveal(this.rows[at] as Row, "start");
  }

  /** Shows this row. */
  reveal(row: Row, where: "center" | "start" | "nearest" = "center"): void {
    let index = this.shown.indexOf(this.rows.indexOf(row));
    if (index < 0) {
      for (let at = this.rows.indexOf(row); at >= 0; at -= 1) {
        const head = this.rows[at] as Row;
        if (!head.c) {
          head.unfolded = true;
          break;
        }
      }
      this.#refold();
      index = this.shown.indexOf(this.rows.indexOf(row));
    }
    if (index < 0) return;
    const room = this.box.clientHeight;
    const place = (): void => {
      const [top, bottom] = [this.#tops[index] ?? 0, this.#tops[index + 1] ?? 0];
      const now = this.box.scrollTop;
      if (where === "nearest" && top >= now && bottom <= now + room - 24) return;
      const to = where === "start" ? top : where === "center" ? top - room / 2 : top < now ? top : bottom - room + 24;
      this.box.scrollTop = Math.max(0, to);
    };
    if (index < this.shown.length - 1) this.following = false;
    place();
    this.#draw(true);
    // Now that it is drawn, its height and those of its neighbours are known.
    place();
    this.select(row);
    this.#button();
  }

  select(row: Row | undefined): void {
    const mark = (one: Row | undefined, on: boolean): void => {
      const element = one && this.#elements.get(one);
      if (!element) return;
      element.classList.toggle("active", on);
      if (on) element.setAttribute("aria-current", "true");
      else element.removeAttribute("aria-current");
    };
    mark(this.active, false);
    this.active = row;
    mark(row, true);
  }

  /** The row so many rows on from the active one that passes. */
  step(by: 1 | -1, fits: (row: Row) => boolean = () => true): void {
    const from = this.active ? this.shown.indexOf(this.rows.indexOf(this.active)) : this.#middle();
    for (let at = from + by; at >= 0 && at < this.shown.length; at += by) {
      const row = this.rows[this.shown[at] as number] as Row;
      if (fits(row)) return this.reveal(row, "nearest");
    }
  }

  /** Draws a row anew, with what was changed about it. */
  redraw(row: Row): void {
    this.#stale(row);
    delete row.height;
    this.#refold();
    this.#draw(true);
  }

  rowOf(target: Element): Row | undefined {
    const element = target.closest("li");
    for (const [row, one] of this.#elements) if (one === element) return row;
    return undefined;
  }

  #middle(): number {
    return this.#at(this.box.scrollTop + this.box.clientHeight / 2);
  }

  #total(): number {
    return this.#tops[this.shown.length] ?? 0;
  }

  /** Which rows are folded away, and where the others are. */
  #refold(): void {
    this.shown = [];
    this.#folds.clear();
    this.#entries = 0;
    this.#head = undefined;
    this.#frames = [];
    this.#fold(0);
    this.#layout(0);
  }

  /** The same for rows from here on. */
  #fold(from: number): void {
    // What is not known to be a trace yet may become one.
    if (this.#frames.length < FOLD) this.shown.length -= this.#frames.length;
    else if (this.#head?.unfolded) this.shown.length -= this.#frames.length;
    const close = (): void => {
      const [head, frames] = [this.#head, this.#frames];
      if (head && frames.length >= FOLD) {
        if (this.#folds.get(head) !== frames.length) this.#stale(head);
        this.#folds.set(head, frames.length);
      }
      if (!head || frames.length < FOLD || head.unfolded) for (const frame of frames) this.shown.push(frame);
    };
    for (let index = from; index < this.rows.length; index += 1) {
      const row = this.rows[index] as Row;
      if (row.p < 8) this.#entries += 1;
      if (row.c && this.#head) {
        this.#frames.push(index);
        continue;
      }
      close();
      this.#frames = [];
      this.#head = row.p < 8 ? row : undefined;
      this.shown.push(index);
    }
    close();
  }

  /** A row that is drawn in another way the next time. */
  #stale(row: Row): void {
    this.#elements.get(row)?.remove();
    this.#elements.delete(row);
  }

  #layout(from: number): void {
    this.#tops.length = this.shown.length + 1;
    for (let at = from; at < this.shown.length; at += 1) {
      this.#tops[at + 1] = (this.#tops[at] ?? 0) + (this.rows[this.shown[at] as number]?.height ?? this.#height);
    }
  }

  /** The row at this height. */
  #at(top: number): number {
    let [low, high] = [0, this.shown.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#tops[middle + 1] ?? 0) <= top) low = middle + 1;
      else high = middle;
    }
    return Math.min(low, Math.max(0, this.shown.length - 1));
  }

  #draw(always: boolean, end?: number): void {
    const top = this.box.scrollTop - this.#list.offsetTop;
    const first = end === undefined ? this.#at(top) : Math.max(0, end - 1);
    const last = end ?? this.#at(top + this.box.clientHeight) + 1;
    const spare = OVER / 3;
    if (!always && first - spare >= this.#from - (this.#from ? 0 : spare) && last + spare <= this.#to + (this.#to >= this.shown.length ? spare : 0)) return;
    this.#from = Math.max(0, first - OVER);
    this.#to = Math.min(this.shown.length, last + OVER);
    this.#fill();
    this.#measure();
    for (const act of this.#watchers) act();
  }

  #fill(): void {
    const wanted = this.shown.slice(this.#from, this.#to).map((index) => this.rows[index] as Row);
    const keep = new Set(wanted);
    for (const [row, element] of this.#elements) {
      if (keep.has(row)) continue;
      element.remove();
      this.#elements.delete(row);
    }
    const fresh = wanted.filter((row) => !this.#elements.has(row));
    const made = parse(fresh.map((row) => row.h).join("")).children;
    [...made].forEach((element, index) => this.#elements.set(fresh[index] as Row, this.#dress(fresh[index] as Row, element as HTMLElement)));
    let next = this.#list.firstElementChild;
    for (const row of wanted) {
      const element = this.#elements.get(row) as HTMLElement;
      if (element === next) next = next.nextElementSibling;
      else this.#list.insertBefore(element, next);
    }
    this.#list.style.paddingTop = `${this.#tops[this.#from] ?? 0}px`;
    this.#list.style.paddingBottom = `${this.#total() - (this.#tops[this.#to] ?? 0)}px`;
  }

  /** What the page knows of a row beside what it says. */
  #dress(row: Row, element: HTMLElement): HTMLElement {
    if (row === this.active) {
      element.classList.add("active");
      element.setAttribute("aria-current", "true");
    }
    if (row.details !== undefined) {
      element.classList.add("open");
      element.append(parse(row.details));
    }
    const frames = this.#folds.get(row);
    if (frames) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "log-fold";
      button.dataset["fold"] = "";
      button.setAttribute("aria-expanded", String(row.unfolded === true));
      button.textContent = row.unfolded ? "Fold the trace" : `${frames} lines of trace`;
      element.append(button);
    }
    return element;
  }

  /** Rows that are not as high as the others move those behind them; what is looked at stays where it is. */
  #measure(): void {
    const top = this.box.scrollTop - this.#list.offsetTop;
    let moved = 0;
    let from = Number.POSITIVE_INFINITY;
    for (let at = this.#from; at < this.#to; at += 1) {
      const row = this.rows[this.shown[at] as number] as Row;
      const isPlain = !this.wrapped && row.p < 8 && row.details === undefined;
      if (isPlain) continue;
      const height = this.#elements.get(row)?.getBoundingClientRect().height ?? this.#height;
      const old = row.height ?? this.#height;
      if (Math.abs(height - old) < 0.5) continue;
      row.height = height;
      from = Math.min(from, at);
      if ((this.#tops[at] ?? 0) + old <= top) moved += height - old;
    }
    if (from === Number.POSITIVE_INFINITY) return;
    this.#layout(from);
    this.#list.style.paddingTop = `${this.#tops[this.#from] ?? 0}px`;
    this.#list.style.paddingBottom = `${this.#total() - (this.#tops[this.#to] ?? 0)}px`;
    if (moved && !this.following) this.box.scrollTop += moved;
    if (this.following) this.box.scrollTop = this.box.scrollHeight;
  }

  #onResize(): void {
    const row = $(".log-row:not(.open)", this.#list);
    const height = !this.wrapped && row ? row.getBoundingClientRect().height : this.#height;
    if (Math.abs(height - this.#height) > 0.5 || this.wrapped) {
      this.#height = height;
      for (const one of this.rows) delete one.height;
      this.#layout(0);
    }
    this.#draw(true);
    if (this.following) this.box.scrollTop = this.box.scrollHeight;
  }

  #lastTop = 0;
  #onScroll(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    if (scrollHeight - scrollTop - clientHeight < NEAR) {
      this.following = this.box.closest<HTMLElement>("#log")?.dataset["live"] === "true";
      if (this.following) this.missed = 0;
    } else if (scrollTop < this.#lastTop - 1) this.following = false;
    this.#lastTop = scrollTop;
    this.#button();
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.#draw(false);
      for (const act of this.#scrolled) act();
    });
  }

  #button(): void {
    const isLive = this.box.closest<HTMLElement>("#log")?.dataset["live"] === "true";
    const newest = $("[data-newest]");
    const word = $("[data-newest-word]");
    if (newest && word) {
      newest.hidden = this.following || !isLive;
      word.textContent = this.missed ? `${this.missed} new ${this.missed === 1 ? "line" : "lines"}` : "Newest";
    }
    $("[data-follow]")?.setAttribute("aria-pressed", String(this.following));
    const count = $("[data-log-count]");
    if (count) count.textContent = String(this.#entries);
  }
}

function readSetting(name: string): string {
  try {
    return localStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}

function writeSetting(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}
