// The keys of the logs.
import { $ } from "../dom";
import type { Details } from "./details";
import type { Find } from "./find";
import type { List } from "./list";

const HELP: [string, string][] = [
  ["n N", "Next and previous match"],
  ["j k", "Next and previous line"],
  ["e E", "Next and previous error"],
  ["Enter", "Fields of the line"],
  ["f", "Follow the newest line, or stay"],
  ["w", "Wrap long lines"],
];

export function startKeys(list: List, find: Find, details: Details): void {
  const act: Record<string, () => void> = {
    n: () => find.step(1),
    N: () => find.step(-1),
    j: () => list.step(1),
    k: () => list.step(-1),
    e: () => list.step(1, (row) => row.p <= 3),
    E: () => list.step(-1, (row) => row.p <= 3),
    f: () => list.setFollowing(!list.following),
    w: () => $("[data-wrap]")?.click(),
    Enter: () => void details.toggle(list.active),
  };
  let wentG = 0;
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    const isTaken = target.matches("input, select, textarea, [contenteditable], .log-chart") || document.querySelector("dialog[open]");
    if (isTaken || event.ctrlKey || event.metaKey || event.altKey) return;
    // A key behind `g` goes to another page.
    if (event.key === "g") wentG = event.timeStamp;
    else if (event.timeStamp - wentG < 1500) wentG = 0;
    else if (act[event.key] && !(event.key === "Enter" && target.closest("a, button, summary"))) {
      act[event.key]?.();
      event.preventDefault();
    }
  });
  $("#logs-q")?.addEventListener("keydown", (event) => {
    if ((event as KeyboardEvent).key === "Escape") list.box.focus();
  });
  help();
}

function help(): void {
  const keys = $("#keys dl");
  for (const [key, words] of keys ? HELP : []) {
    const entry = document.createElement("div");
    const [name, what] = [document.createElement("dt"), document.createElement("dd")];
    for (const one of key.split(" ")) {
      const cap = document.createElement("kbd");
      cap.textContent = one;
      name.append(cap, " ");
    }
    what.textContent = words;
    entry.append(name, what);
    keys?.insertBefore(entry, keys.lastElementChild);
  }
}
