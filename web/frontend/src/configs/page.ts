// The page around the editor. It is put in place as it comes: nothing there holds what somebody is typing.
export const $ = <T extends Element = HTMLElement>(selector: string, within: ParentNode = document): T | null =>
  within.querySelector<T>(selector);

/** Each root element of the answer fills the one of the same id. */
export function fill(html: string): void {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const fresh of [...template.content.children]) {
    document.getElementById(fresh.id)?.replaceChildren(...fresh.childNodes);
  }
}
