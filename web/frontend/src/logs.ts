// The log: counts its lines, and paints what was searched for.
import { $ } from "./dom";
import { startFollowing } from "./follow";

function count(list: Element): void {
  const count = $("[data-log-count]");
  if (count) count.textContent = String(list.querySelectorAll(".log-row").length);
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
  if (!$("#log-rows")) return;
  startFollowing((list, from) => {
    count(list);
    mark(list, from);
  });
}
