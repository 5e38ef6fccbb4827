// The output of a job: finding in it, and the link to it.
import { $, spot } from "./dom";
import { startFollowing, stayAt } from "./follow";

/** More are counted, but not painted: a browser paints each of them anew when the page moves. */
const MOST_MARKS = 5000;

let hits: Range[] = [];
let total = 0;
let at = -1;

/** Where each character of a row is: a row is several texts when it has colours. */
function ranges(row: Element, sought: string): Range[] {
  const text = (row.textContent ?? "").toLowerCase();
  const found: Range[] = [];
  for (let begin = text.indexOf(sought); begin >= 0; begin = text.indexOf(sought, begin + sought.length)) {
    const range = new Range();
    const from = spot(row, begin);
    const to = spot(row, begin + sought.length);
    if (!from || !to) break;
    range.setStart(...from);
    range.setEnd(...to);
    found.push(range);
  }
  return found;
}

const field = (): HTMLInputElement | null => $<HTMLInputElement>("[data-find]");

function find(list: Element, from: number): void {
  const sought = (field()?.value ?? "").toLowerCase();
  if (from === 0) {
    hits = [];
    total = 0;
    at = -1;
  } else {
    // Rows that were taken away, or come again, are not hits any more.
    const rows = [...list.children].slice(from);
    hits = hits.filter((hit) => hit.startContainer.isConnected && !rows.some((row) => row.contains(hit.startContainer)));
    total = hits.length;
  }
  if (sought) {
    for (const row of [...list.children].slice(from)) {
      const found = ranges(row, sought);
      total += found.length;
      if (hits.length < MOST_MARKS) hits.push(...found);
    }
  }
  paint(sought);
}

function paint(sought: string): void {
  if ("highlights" in CSS) {
    CSS.highlights.set("found", new Highlight(...hits));
    const here = hits[at];
    if (here) CSS.highlights.set("here", new Highlight(here));
    else CSS.highlights.delete("here");
  }
  const words = $("[data-found]");
  if (words) words.textContent = !sought ? "" : total === 0 ? "none" : at < 0 ? `${total}` : `${at + 1} of ${total}`;
}

function step(by: number): void {
  if (!hits.length) return;
  at = at < 0 ? (by > 0 ? 0 : hits.length - 1) : (at + by + hits.length) % hits.length;
  const row = hits[at]?.startContainer.parentElement?.closest("li");
  if (row) stayAt(row);
  paint(field()?.value ?? "");
}

export function startOutput(): void {
  const list = $("#output-rows");
  document.addEventListener("click", (event) => {
    const link = (event.target as Element).closest("[data-copy-link]");
    if (!link) return;
    void navigator.clipboard.writeText(location.href.replace(/#.*/, "")).then(() => {
      const word = $("span:not(.icon)", link);
      if (word) word.textContent = "Copied";
    });
  });
  if (!list) return;
  startFollowing(find);
  field()?.addEventListener("input", () => find(list, 0));
  field()?.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      step(event.shiftKey ? -1 : 1);
    }
  });
  for (const button of document.querySelectorAll<HTMLElement>("[data-find-step]")) {
    button.addEventListener("click", () => step(Number(button.dataset["findStep"])));
  }
}
