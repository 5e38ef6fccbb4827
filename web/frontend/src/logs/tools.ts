// The buttons above the rows.
import { $ } from "../dom";
import { said } from "./details";
import { textOf } from "./find";
import type { List, Row } from "./list";

/** More lines are downloaded, not copied. */
const MOST_COPIED = 10_000;

const lineOf = (list: List, row: Row): string => {
  const at = new Date(row.t / 1000).toISOString();
  return row.p > 7 ? `-- ${textOf(row)}` : `${at} ${row.k?.split(" ")[0] ?? ""} ${textOf(row)}`;
};

export function startTools(list: List, root: HTMLElement): void {
  const wrap = $("[data-wrap]", root);
  const toggle = (): void => {
    list.setWrapped(!list.wrapped);
    wrap?.setAttribute("aria-pressed", String(list.wrapped));
  };
  wrap?.addEventListener("click", toggle);
  $("[data-follow]", root)?.addEventListener("click", () => list.setFollowing(!list.following));
  $("[data-copy-lines]", root)?.addEventListener("click", (event) => {
    const button = event.currentTarget as HTMLElement;
    const rows = list.shown.slice(-MOST_COPIED).map((index) => lineOf(list, list.rows[index] as Row));
    void navigator.clipboard.writeText(`${rows.join("\n")}\n`).then(() => said(button, `Copied ${rows.length} lines`));
  });
  requestAnimationFrame(() => wrap?.setAttribute("aria-pressed", String(list.wrapped)));
}
