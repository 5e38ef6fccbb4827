// Putting HTML into the page.
import { Idiomorph } from "idiomorph";

/** A piece of HTML and the element it is for, as the server sends it. */
export interface Fragment {
  id: string;
  html: string;
  mode: "morph" | "append" | "prepend" | "remove";
  max?: number;
}

export const $ = <T extends Element = HTMLElement>(selector: string, within: ParentNode = document): T | null =>
  within.querySelector<T>(selector);

export function parse(html: string): DocumentFragment {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

const isTyped = (node: Node): boolean =>
  (node instanceof HTMLInputElement && node.value !== node.defaultValue) ||
  (node instanceof HTMLSelectElement && node === document.activeElement);

/**
 * Makes `old` look like `fresh`. What the stream brings does not undo what somebody is doing: a form that was sent and
 * has no answer yet, text that was typed, a result that is on display, what was folded open.
 */
export function morph(old: Element, fresh: Element, fromStream: boolean): void {
  Idiomorph.morph(old, fresh, {
    morphStyle: "outerHTML",
    callbacks: {
      beforeNodeMorphed(before: Node, after: Node): boolean {
        if (!(before instanceof Element) || !fromStream) return true;
        if ("busy" in (before as HTMLElement).dataset || isTyped(before)) return false;
        return !(before.hasAttribute("data-keep") && before.hasChildNodes() && !after.hasChildNodes());
      },
      beforeAttributeUpdated(name: string, node: Element): boolean {
        return !(name === "open" && node instanceof HTMLDetailsElement && fromStream);
      },
    },
  });
}

/** Puts one fragment of the stream where it belongs. Returns false when the page has no such place. */
export function place(fragment: Fragment): boolean {
  const target = document.getElementById(fragment.id);
  if (!target) return false;
  if (fragment.mode === "remove") {
    target.remove();
    return true;
  }
  const content = parse(fragment.html);
  if (fragment.mode === "morph") {
    const fresh = content.firstElementChild;
    if (fresh) morph(target, fresh, true);
    return true;
  }
  for (const child of content.querySelectorAll(":scope > [id]")) {
    const there = document.getElementById(child.id);
    if (there) {
      morph(there, child, true);
      child.remove();
    } else child.classList.add("new");
  }
  if (fragment.mode === "append") target.append(content);
  else target.prepend(content);
  const excess = fragment.max ? target.childElementCount - fragment.max : 0;
  for (let count = 0; count < excess; count += 1) {
    (fragment.mode === "append" ? target.firstElementChild : target.lastElementChild)?.remove();
  }
  return true;
}

/** Puts the answer to a form where it belongs: each root element replaces the one of the same id. */
export function answer(content: DocumentFragment): boolean {
  let placed = false;
  for (const fresh of [...content.children]) {
    const old = fresh.id ? document.getElementById(fresh.id) : null;
    if (!old) continue;
    morph(old, fresh, false);
    placed = true;
  }
  return placed;
}

export function toLogin(): void {
  const here = location.pathname + location.search;
  location.assign(`/login?ended=1&next=${encodeURIComponent(here)}`);
}

/** Where in the texts of a row a character is: a row is several texts when it has colours. */
export function spot(row: Element, offset: number): [Text, number] | undefined {
  const texts = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
  let left = offset;
  for (let node = texts.nextNode() as Text | null; node; node = texts.nextNode() as Text | null) {
    if (left <= node.length) return [node, left];
    left -= node.length;
  }
  return undefined;
}
