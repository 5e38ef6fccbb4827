// Names of directives and variables as one types, and what a directive is for.
import { type Completion, type CompletionContext, type CompletionResult, autocompletion } from "@codemirror/autocomplete";
import type { Extension } from "@codemirror/state";
import { type Tooltip, type EditorView, hoverTooltip } from "@codemirror/view";
import documentation from "./directives.json";

interface Entry {
  doc: string;
  link: string;
}

const entries = new Map<string, Entry>();
for (const [module, directives] of Object.entries<Record<string, string>>(documentation.modules)) {
  for (const [name, doc] of Object.entries(directives)) {
    entries.set(name, { doc, link: `https://nginx.org/en/docs/${module}.html#${name}` });
  }
}

function explain(name: string, entry: Entry): HTMLElement {
  const box = document.createElement("div");
  box.className = "cm-explained";
  const text = document.createElement("p");
  text.textContent = entry.doc;
  const link = document.createElement("a");
  link.href = entry.link;
  link.target = "_blank";
  link.rel = "noreferrer";
  link.textContent = `${name} at nginx.org`;
  box.append(text, link);
  return box;
}

const directives: Completion[] = [...entries].map(([label, entry]) => ({
  label,
  type: "keyword",
  info: () => explain(label, entry),
}));
const variables: Completion[] = documentation.variables.map((name) => ({ label: `$${name}`, type: "variable" }));

/** Whether the word at this place begins a directive. */
function beginsDirective(before: string): boolean {
  const clean = before.replace(/#.*$/gm, "").trimEnd();
  return clean === "" || /[;{}]$/.test(clean);
}

function complete(context: CompletionContext): CompletionResult | null {
  const variable = context.matchBefore(/\$\w*/);
  if (variable) return { from: variable.from, options: variables, validFor: /^\$\w*$/ };
  const word = context.matchBefore(/\w*/);
  if (!word || (word.from === word.to && !context.explicit)) return null;
  const line = context.state.doc.lineAt(context.pos);
  if (line.text.slice(0, word.from - line.from).includes("#")) return null;
  const before = context.state.sliceDoc(Math.max(0, word.from - 2000), word.from);
  return beginsDirective(before) ? { from: word.from, options: directives, validFor: /^\w*$/ } : null;
}

function hover(view: EditorView, at: number): Tooltip | null {
  const word = view.state.wordAt(at);
  const name = word && view.state.sliceDoc(word.from, word.to);
  const entry = name && entries.get(name);
  if (!entry || !beginsDirective(view.state.sliceDoc(Math.max(0, word.from - 2000), word.from))) return null;
  return { pos: word.from, end: word.to, above: true, create: () => ({ dom: explain(name, entry) }) };
}

export const completion: Extension = [autocompletion({ override: [complete], icons: false }), hoverTooltip(hover)];
