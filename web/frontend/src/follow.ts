// A box of rows that follows the newest one until somebody scrolls up: a log, or the output of a job.
import { $, type Fragment, place } from "./dom";

/** So near to the end counts as the end. */
const NEAR = 24;
/** While somebody reads further up nothing is taken away, up to this many rows. */
const MOST_ROWS = 20_000;

let waiting: Fragment[] = [];
let missed = 0;
let following = true;
let arrived: (list: Element, from: number) => void = () => {};

const scroller = (): HTMLElement | null => $("[data-follow-box]");
const rowsOf = (): HTMLElement | null => $("[data-follow-list]");
const isAtEnd = (box: HTMLElement): boolean => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;

/** Rows arrive in bursts; they are put in once a frame. */
export function rows(fragment: Fragment): void {
  waiting.push(fragment);
  if (waiting.length === 1) (document.hidden ? setTimeout : requestAnimationFrame)(put);
}

function put(): void {
  const batch = waiting;
  waiting = [];
  const list = rowsOf();
  if (!scroller() || !list) return;
  const before = list.childElementCount;
  const last = list.lastElementChild;
  const html = batch.map((fragment) => fragment.html).join("");
  const added = (html.match(/<li /g) ?? []).length;
  const max = following ? batch.at(-1)?.max : MOST_ROWS;
  place({ id: list.id, html, mode: "append", ...(max ? { max } : {}) });
  const dropped = $("[data-dropped]");
  if (dropped && max && before + added > max) dropped.hidden = false;
  arrived(list, Math.max(0, last?.isConnected ? [...list.children].indexOf(last) : 0));
  if (following) toEnd();
  else {
    missed += added;
    button();
  }
}

function toEnd(): void {
  const box = scroller();
  if (box) box.scrollTop = box.scrollHeight;
}

function button(): void {
  const newest = $("[data-newest]");
  const word = $("[data-newest-word]");
  if (!newest || !word) return;
  newest.hidden = following;
  word.textContent = missed ? `${missed} new ${missed === 1 ? "line" : "lines"}` : "Newest";
}

/** Shows this row, and stays there. */
export function stayAt(row: Element): void {
  following = false;
  row.scrollIntoView({ block: "center" });
  button();
}

/** Follows from now on; `act` is told of rows that came, from which one on. */
export function startFollowing(act: typeof arrived): void {
  const box = scroller();
  const list = rowsOf();
  if (!box || !list) return;
  arrived = act;
  arrived(list, 0);
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
