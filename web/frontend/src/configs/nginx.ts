// The language of nginx for the editor: colours, indentation, folding.
import { HighlightStyle, StreamLanguage, type StringStream, foldService, syntaxHighlighting } from "@codemirror/language";
import type { EditorState, Extension } from "@codemirror/state";
import { tags } from "@lezer/highlight";

interface Place {
  /** The next word begins a directive. */
  first: boolean;
  /** Inside quotes: which. */
  quote: string;
  depth: number;
}

function inQuotes(stream: StringStream, place: Place): string {
  while (!stream.eol()) {
    if (stream.peek() === "$" && stream.match(/^\$\{?\w+\}?/, false) && stream.start < stream.pos) return "string";
    if (stream.match(/^\$\{?\w+\}?/)) return "variableName";
    const char = stream.next();
    if (char === "\\") stream.next();
    else if (char === place.quote) {
      place.quote = "";
      return "string";
    }
  }
  return "string";
}

function inDirective(stream: StringStream, place: Place): string | null {
  if (stream.match(/^\$\{?\w+\}?/)) return "variableName";
  if (stream.match(/^(~\*?|\^~|=)(?=\s)/)) return "operator";
  if (stream.match(/^\d+(\.\d+)*(ms|[smhdwMykKgG])?(?=[\s;])/)) return "number";
  if (stream.match(/^(on|off|always|default_server|ssl|http2|last|break|permanent|redirect|any|all|none|auto)(?=[\s;])/)) return "atom";
  stream.match(/^(\\.|[^\s;{}"'$\\])+/) || stream.next();
  return place.first ? "keyword" : null;
}

export const nginx = StreamLanguage.define<Place>({
  name: "nginx",
  startState: () => ({ first: true, quote: "", depth: 0 }),
  token(stream, place) {
    if (place.quote) return inQuotes(stream, place);
    if (stream.eatSpace()) return null;
    const char = stream.peek() ?? "";
    if (char === "#") {
      stream.skipToEnd();
      return "comment";
    }
    if (char === '"' || char === "'") {
      stream.next();
      place.quote = char;
      place.first = false;
      return inQuotes(stream, place);
    }
    if (";{}".includes(char)) {
      stream.next();
      place.first = true;
      place.depth = Math.max(0, place.depth + (char === "{" ? 1 : char === "}" ? -1 : 0));
      return char === ";" ? "punctuation" : "brace";
    }
    const token = inDirective(stream, place);
    place.first = false;
    return token;
  },
  indent: (place, after, context) => Math.max(0, place.depth - (/^\s*\}/.test(after) ? 1 : 0)) * context.unit,
  languageData: {
    commentTokens: { line: "#" },
    closeBrackets: { brackets: ["{", '"', "'", "("] },
    indentOnInput: /^\s*\}$/,
  },
});

/** From the end of the line that opens a block to the line that closes it. */
function fold(state: EditorState, start: number, end: number): { from: number; to: number } | null {
  if (!/\{\s*(#.*)?$/.test(state.sliceDoc(start, end))) return null;
  let depth = 0;
  for (let number = state.doc.lineAt(start).number; number <= state.doc.lines; number += 1) {
    const line = state.doc.line(number);
    const text = line.text.replace(/#.*$/, "").replace(/"[^"]*"|'[^']*'/g, "");
    depth += (text.match(/\{/g) ?? []).length - (text.match(/\}/g) ?? []).length;
    if (depth <= 0) return number === state.doc.lineAt(start).number ? null : { from: end, to: line.to };
  }
  return null;
}

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-word)", fontWeight: "600" },
  { tag: tags.string, color: "var(--code-text)" },
  { tag: tags.variableName, color: "var(--code-name)" },
  { tag: [tags.number, tags.atom], color: "var(--code-number)" },
  { tag: tags.operator, color: "var(--code-name)", fontWeight: "600" },
  { tag: tags.comment, color: "var(--ink-quiet)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.brace], color: "var(--ink-soft)" },
]);

export const nginxSupport: Extension = [nginx, syntaxHighlighting(colours), foldService.of(fold)];
