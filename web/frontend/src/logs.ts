// The log: follows the newest line until somebody scrolls up.
import { $, type Fragment, place } from "./dom";

/** So near to the end counts as the end. */
const NEAR = 24;
/** While somebody reads further up nothing is taken away, up to this many rows. */
const MOST_ROWS = 20_000;

let waiting: Fragment[] = [];
let missed = 0;

const scroller = (): HTMLElement | null => $(".log-scroll");
const isAtEnd = (box: HTMLElement): boolean => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
let following = true;

/** Rows arrive in bursts; they are put in once a frame. */
export function rows(fragment: Fragment): void {
  waiting.push(fragment);
  if (waiting.length === 1) (document.hidden ? setTimeout : requestAnimationFrame)(put);
}

function put(): void {
  const batch = waiting;
  waiting = [];
  const box = scroller();
  const list = $("#log-rows");
  if (!box || !list) return;
  const before = list.childElementCount;
  const html = batch.map((fragment) => fragment.html).join("");
  const added = (html.match(/<li /g) ?? []).length;
  const max = following ? batch.at(-1)?.max : MOST_ROWS;
  place({ id: "log-rows", html, mode: "append", ...(max ? { max } : {}) });
  count(list);
  mark(list, Math.max(0, before - 1));
  if (following) toEnd();
  else {
    missed += added;
    button();
  }
}

function toEnd(): void {
  const box = scroller();
  if (!box) return;
  box.scrollTop = box.scrollHeight;
}

function count(list: Element): void {
  const count = $("[data-log-count]");
  if (count) count.textContent = String(list.querySelectorAll(".log-row").length);
}

function button(): void {
  const newest = $("[data-newest]");
  const word = $("[data-newest-word]");
  if (!newest || !word) return;
  newest.hidden = following;
  word.textContent = missed ? `${missed} new ${missed === 1 ? "line" : "lines"}` : "Newest";
}

/** Paints what was searched for, where the browser can do that without touching the rows. */
function mark(list: Element, from: number): void {
  const sought = $<HTMLInputElement>("#logs-q")?.defaultValue;
  if (!sought || !("highlights" in CSS)) return;
  let pattern: RegExp;
  try {
    pattern = new RegExp(sought.replace(/^\(\?i\)/, ""), sought.startsWith("(?i)") ? "gi" : "g");
  } catch {
    return;
  }
  const found = CSS.highlights.get("found") ?? new Highlight();
  for (const row of [...list.children].slice(from)) {
    const text = $(".log-message", row)?.firstChild;
    if (!(text instanceof Text)) continue;
    for (const match of text.data.matchAll(pattern)) {
      if (!match[0]) continue;
      const range = new Range();
      range.setStart(text, match.index);
      range.setEnd(text, match.index + match[0].length);
      found.add(range);
    }
  }
  CSS.highlights.set("found", found);
}

export function startLogs(): void {
  const box = scroller();
  const list = $("#log-rows");
  if (!box || !list) return;
  mark(list, 0);
  toEnd();
  // Rows get their true height only when they come into view, so the end moves by itself.
  new ResizeObserver(() => following && toEnd()).observe(list);
  let top = box.scrollTop;
  box.addEventListener(
    "scroll",
    () => {
      if (isAtEnd(box)) {
        following = true;
        missed = 0;
      } else if (box.scrollTop < top) following = false;
      top = box.scrollTop;
      button();
    },
    { passive: true },
  );
  $("[data-newest]")?.addEventListener("click", () => {
    following = true;
    missed = 0;
    toEnd();
    button();
    box.focus();
  });
}
