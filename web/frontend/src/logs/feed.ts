// Rows from the server: live ones, and those before and behind what is here.
import { $, toLogin } from "../dom";
import { type List, MOST, type Row } from "./list";

interface Answer {
  rows: Row[];
  before: string;
  after: string;
  more: boolean;
}

/** So near to an edge the next rows are asked for. */
const NEAR = 1500;
/** So many rows at once. */
const LINES = "500";

export class Feed {
  readonly isLive: boolean;
  readonly #list: List;
  readonly #query: string;
  /** What is done when something was changed. */
  readonly #onMark: () => void;
  #before: string;
  #after: string;
  #busy = false;

  constructor(list: List, root: HTMLElement, onMark: () => void) {
    this.#list = list;
    this.#onMark = onMark;
    this.#query = root.dataset["query"] ?? "";
    this.#before = root.dataset["before"] ?? "";
    this.isLive = root.dataset["live"] === "true";
    this.#after = this.isLive ? "" : (root.dataset["after"] ?? "");
  }

  start(): void {
    document.addEventListener("hms:lines", (event) => this.#onLines((event as CustomEvent<string>).detail));
    $("[data-newest]")?.addEventListener("click", () => this.#toNewest());
    this.#list.onScroll(() => void this.#look());
    this.#edges();
    void this.#look();
  }

  #onLines(data: string): void {
    const { rows } = JSON.parse(data) as Answer;
    const marks = rows.filter((row) => row.m !== undefined);
    if (marks.length && this.#list.insert(marks)) this.#onMark();
    // What is told again of a host that is away is not news.
    const last = this.#list.rows.findLast((row) => row.p === 8 && row.m === undefined);
    const others = rows.filter((row) => row.m === undefined && (row.p < 8 || row.h !== last?.h));
    if (others.length) this.#list.append(others);
    this.#edges();
  }

  #toNewest(): void {
    // While somebody read, more came than is kept: the newest are asked for anew.
    if (this.#list.rows.length >= MOST && this.#list.missed) return location.reload();
    this.#list.toEnd();
    this.#list.box.focus();
  }

  async #look(): Promise<void> {
    const { scrollTop, scrollHeight, clientHeight } = this.#list.box;
    if (this.#busy) return;
    if (scrollTop < NEAR && this.#before && !this.#list.dropped && this.#list.rows.length < MOST) await this.#load("before");
    else if (scrollHeight - scrollTop - clientHeight < NEAR && this.#after && this.#list.rows.length < MOST) await this.#load("after");
  }

  async #load(side: "before" | "after"): Promise<void> {
    this.#busy = true;
    const edge = $(side === "before" ? "[data-log-top]" : "[data-log-bottom]");
    if (edge) edge.textContent = side === "before" ? "Reading earlier lines…" : "Reading later lines…";
    try {
      const found = await this.#ask(side);
      if (!found) return;
      const entries = found.rows.filter((row) => row.p < 8).length;
      if (side === "before") {
        this.#before = entries ? found.before : "";
        this.#list.prepend(found.rows);
      } else {
        this.#after = entries ? found.after : "";
        this.#list.append(found.rows);
      }
      this.#edges();
    } catch (error) {
      this.#say(edge, error instanceof Error ? error.message : "", side);
      return;
    } finally {
      this.#busy = false;
    }
    // A page that is not full yet, or somebody who scrolls on, wants more.
    requestAnimationFrame(() => void this.#look());
  }

  async #ask(side: "before" | "after"): Promise<Answer | undefined> {
    const query = new URLSearchParams(this.#query);
    query.set(side, side === "before" ? this.#before : this.#after);
    query.set("lines", LINES);
    const response = await fetch(`/logs/rows?${query}`, { headers: { "X-Requested-With": "hms" } });
    if (response.status === 401) {
      toLogin();
      return undefined;
    }
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as Answer;
  }

  #say(edge: HTMLElement | null, why: string, side: "before" | "after"): void {
    if (!edge) return;
    const again = document.createElement("button");
    again.type = "button";
    again.className = "button";
    again.textContent = "Try again";
    again.addEventListener("click", () => void this.#load(side));
    edge.replaceChildren(why.slice(0, 300) || "The controller does not answer.", " ", again);
  }

  #edges(): void {
    const [top, bottom] = [$("[data-log-top]"), $("[data-log-bottom]")];
    const first = this.#list.rows.find((row) => row.p < 8);
    if (top) {
      if (this.#list.dropped && first) {
        const earlier = document.createElement("a");
        const query = new URLSearchParams(this.#query);
        query.set("until", new Date(first.t / 1000).toISOString());
        earlier.href = `/logs?${query}`;
        earlier.textContent = "Earlier lines";
        top.replaceChildren(`${this.#list.dropped} earlier lines were let go. `, earlier);
      } else top.textContent = this.#before ? " " : first ? "The beginning of what there is" : "";
    }
    if (bottom && !this.isLive) bottom.textContent = this.#after ? " " : first ? "The end of what was asked for" : "";
  }
}
