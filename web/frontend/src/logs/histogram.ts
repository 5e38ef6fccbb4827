// How much was written when. A range is brushed with the pointer or with the arrow keys.
import { $, parse } from "../dom";

/** A live page counts again after so long. */
const AGAIN = 30_000;
/** When something was changed, it does so at once, but not for each of many changes. */
const APART = 5000;
const TONES = ["errors", "warnings", "info", "debug"];

export class Histogram {
  readonly #query: string;
  #counts: number[][] = [];
  #start = 0;
  #width = 0;
  /** The buckets where the brush begins and ends. */
  #brush: [number, number] | undefined;
  #words = "";
  #asked = 0;
  #due: number | undefined;

  constructor(query: string, isLive: boolean) {
    this.#query = query;
    if (!$("#log-histogram")) return;
    void this.#load();
    if (isLive) setInterval(() => document.hidden || this.#brush || void this.#load(), AGAIN);
  }

  /** Counts again, because something was changed. */
  soon(): void {
    if (this.#due !== undefined || document.hidden) return;
    this.#due = setTimeout(() => void this.#load(), Math.max(0, this.#asked + APART - Date.now()));
  }

  async #load(): Promise<void> {
    clearTimeout(this.#due);
    this.#due = undefined;
    this.#asked = Date.now();
    const response = await fetch(`/logs/histogram?${this.#query}`, { headers: { "X-Requested-With": "hms" } }).catch(() => undefined);
    if (!response?.ok || this.#brush) return;
    const fresh = parse(await response.text()).firstElementChild as HTMLElement | null;
    const old = $("#log-histogram");
    if (!fresh || !old) return;
    const wasOpen = $<HTMLDetailsElement>("details", old)?.open ?? false;
    const hadFocus = old.contains(document.activeElement);
    old.replaceWith(fresh);
    const changes = $<HTMLDetailsElement>("details", fresh);
    if (changes) changes.open = wasOpen;
    this.#start = Number(fresh.dataset["start"]);
    this.#width = Number(fresh.dataset["width"]);
    this.#counts = (fresh.dataset["counts"] ?? "").split(";").map((bucket) => bucket.split(",").map(Number));
    this.#words = $("[data-histogram-words]", fresh)?.innerHTML ?? "";
    this.#bind(fresh);
    if (hadFocus) $(".log-chart", fresh)?.focus();
  }

  #bind(figure: HTMLElement): void {
    const chart = $(".log-chart", figure);
    if (!chart) return;
    const bucket = (event: PointerEvent): number => {
      const box = chart.getBoundingClientRect();
      const at = Math.floor(((event.clientX - box.left) / box.width) * this.#counts.length);
      return Math.max(0, Math.min(this.#counts.length - 1, at));
    };
    chart.addEventListener("pointerdown", (event) => {
      chart.setPointerCapture(event.pointerId);
      this.#set(bucket(event), bucket(event));
    });
    chart.addEventListener("pointermove", (event) => {
      if (this.#brush && event.buttons) this.#set(this.#brush[0], bucket(event));
      else this.#tell(bucket(event), bucket(event));
    });
    chart.addEventListener("pointerup", () => this.#apply());
    chart.addEventListener("pointercancel", () => this.#clear());
    chart.addEventListener("pointerleave", () => this.#brush || this.#untell());
    chart.addEventListener("blur", () => this.#clear());
    chart.addEventListener("keydown", (event) => this.#onKey(event));
  }

  #onKey(event: KeyboardEvent): void {
    const last = this.#counts.length - 1;
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -last, End: last }[event.key];
    if (by !== undefined) {
      const [from, to] = this.#brush ?? [last + 1, last + 1];
      const at = Math.max(0, Math.min(last, to + by));
      this.#set(event.shiftKey && this.#brush ? from : at, at);
    } else if (event.key === "Enter" && this.#brush) this.#apply();
    else if (event.key === "Escape" && this.#brush) this.#clear();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #set(from: number, to: number): void {
    this.#brush = [from, to];
    const brush = $(".log-brush");
    if (!brush) return;
    const [low, high] = [Math.min(from, to), Math.max(from, to) + 1];
    brush.hidden = false;
    brush.style.left = `${(low / this.#counts.length) * 100}%`;
    brush.style.width = `${((high - low) / this.#counts.length) * 100}%`;
    this.#tell(low, high - 1);
  }

  #clear(): void {
    this.#brush = undefined;
    const brush = $(".log-brush");
    if (brush) brush.hidden = true;
    this.#untell();
  }

  #edge(bucket: number): string {
    return new Date((this.#start + this.#width * bucket) / 1000).toISOString();
  }

  #tell(low: number, high: number): void {
    const words = $("[data-histogram-words]");
    if (!words) return;
    const sums = TONES.map((_, tone) => this.#counts.slice(low, high + 1).reduce((sum, bucket) => sum + (bucket[tone] ?? 0), 0));
    const parts = TONES.flatMap((word, tone) => (sums[tone] ? [`${sums[tone]} ${word}`] : []));
    const clock = (at: string): string => at.slice(5, 19).replace("T", " ");
    const text = `${clock(this.#edge(low))} to ${clock(this.#edge(high + 1))}: ${parts.join(", ") || "nothing"}`;
    words.textContent = text;
    const chart = $(".log-chart");
    chart?.setAttribute("aria-valuenow", String(low));
    chart?.setAttribute("aria-valuetext", text);
  }

  #untell(): void {
    const words = $("[data-histogram-words]");
    if (words) words.innerHTML = this.#words;
  }

  #apply(): void {
    if (!this.#brush) return;
    const [low, high] = [Math.min(...this.#brush), Math.max(...this.#brush)];
    const query = new URLSearchParams(this.#query);
    query.set("since", this.#edge(low));
    query.set("until", this.#edge(high + 1));
    location.assign(`/logs?${query}`);
  }
}
