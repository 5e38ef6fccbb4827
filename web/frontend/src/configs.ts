// The editor of nginx files. Without this the page is a form with a text field, which does the same.
import { closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit } from "@codemirror/language";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState, type Extension } from "@codemirror/state";
import {
  EditorView, drawSelection, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers,
} from "@codemirror/view";
import { completion } from "./configs/complete";
import { look } from "./configs/look";
import { nginxSupport } from "./configs/nginx";
import { $, fill } from "./configs/page";
import { review } from "./configs/review";
import { type Answer, NoAnswer, type Problem, live, send } from "./configs/talk";

/** So long after the last key the text is tested. */
const PAUSE = 1200;

class Editor {
  readonly #view: EditorView;
  readonly #form: HTMLFormElement;
  readonly #nonce: string;
  readonly #tests: boolean;
  readonly #applies: boolean;
  /** The text as it is on the host, as far as known. */
  #saved: string;
  #timer: number | undefined;
  #asking: AbortController | undefined;
  #busy = false;
  #clash: Answer | undefined;

  constructor(form: HTMLFormElement, field: HTMLTextAreaElement) {
    this.#form = form;
    this.#nonce = form.dataset["nonce"] ?? "";
    this.#tests = !("locked" in form.dataset);
    this.#applies = "applies" in form.dataset;
    this.#saved = "draft" in form.dataset ? "" : field.value;
    const word = $("[data-apply-word]", form);
    if (word) word.textContent = "Review and apply";
    this.#view = new EditorView({
      parent: field.parentElement ?? form,
      state: EditorState.create({ doc: field.value, extensions: this.#extensions() }),
    });
    field.hidden = true;
    this.#bind();
    this.#bringBack();
    this.#toHash();
    this.#show();
    if ("draft" in form.dataset) void this.#test(false);
  }

  #extensions(): Extension[] {
    const label = `Text of ${this.#form.dataset["path"] ?? "the file"}`;
    const fixed = this.#tests ? [] : [EditorState.readOnly.of(true)];
    return [
      EditorView.cspNonce.of(this.#nonce),
      lineNumbers(), highlightActiveLineGutter(), highlightSpecialChars(), history(), foldGutter(), drawSelection(),
      indentOnInput(), bracketMatching(), closeBrackets(), highlightActiveLine(), highlightSelectionMatches(),
      search({ top: true }), lintGutter(), completion, nginxSupport, look, indentUnit.of("    "), EditorState.tabSize.of(4),
      keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap,
        ...completionKeymap, ...lintKeymap, indentWithTab]),
      EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", autocapitalize: "none", tabindex: "0" }),
      EditorView.updateListener.of((update) => update.docChanged && this.#typed()),
      ...fixed,
    ];
  }

  #bind(): void {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      event.stopPropagation();
      const verb = (event.submitter as HTMLButtonElement | null)?.value;
      void (verb === "test" ? this.#test(true) : this.#apply());
    });
    document.addEventListener("click", (event) => this.#onClick(event));
    // Wherever on the page the focus is, and before the editor makes a new line of it.
    document.addEventListener("keydown", (event) => this.#onKey(event), { capture: true });
    document.addEventListener("change", (event) => {
      if ((event.target as Element).matches("input[name=accept]")) void this.#test(false);
    });
    addEventListener("beforeunload", (event) => this.#isDirty() && this.#tests && event.preventDefault());
    addEventListener("hashchange", () => this.#toHash());
    const banner = document.getElementById("config-pending");
    if (banner) new MutationObserver(() => void this.#lookAgain()).observe(banner, { childList: true });
  }

  #onKey(event: KeyboardEvent): void {
    if (!(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
    if (event.key !== "s" && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    void (event.key === "s" ? this.#apply() : this.#test(true));
  }

  #text(): string {
    return this.#view.state.doc.toString();
  }

  #isDirty(): boolean {
    return this.#text() !== this.#saved;
  }

  #draftKey(): string {
    return `config:${this.#form.dataset["host"]}:${this.#form.dataset["path"]}`;
  }

  #typed(): void {
    this.#show();
    clearTimeout(this.#timer);
    if (!this.#tests) return;
    this.#timer = setTimeout(() => void this.#test(false), PAUSE);
    try {
      if (this.#isDirty()) sessionStorage.setItem(this.#draftKey(), this.#text());
      else sessionStorage.removeItem(this.#draftKey());
    } catch {
      // Without storage the text lives in this page only; leaving it is asked about.
    }
  }

  /** What was typed before the page was left against one's will. */
  #bringBack(): void {
    let draft: string | null = null;
    try {
      draft = sessionStorage.getItem(this.#draftKey());
    } catch {
      return;
    }
    if (draft === null || draft === this.#text() || "draft" in this.#form.dataset || !this.#tests) return;
    this.#put(draft);
    this.#say("What you typed before is back. Undo (Ctrl Z) takes it away.");
  }

  #put(text: string): void {
    this.#view.dispatch({ changes: { from: 0, to: this.#view.state.doc.length, insert: text } });
  }

  #say(words: string): void {
    const state = $("[data-editor-state]", this.#form);
    if (state) state.textContent = words;
  }

  #show(): void {
    this.#form.classList.toggle("dirty", this.#isDirty());
    if (this.#isDirty()) this.#say("Not applied yet");
    else this.#say("As on the host");
  }

  async #test(aloud: boolean): Promise<void> {
    clearTimeout(this.#timer);
    if (!this.#tests || (this.#busy && !aloud)) return;
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    if (aloud) this.#say("Testing on the host…");
    try {
      const got = await send(this.#form, "test", this.#text(), asking.signal);
      this.#take(got);
      const errors = got.problems.filter((problem) => problem.severity !== "warning").length;
      this.#say(got.ok ? (this.#isDirty() ? "Not applied yet. nginx takes it" : "nginx takes it") : `${errors} ${errors === 1 ? "error" : "errors"}`);
    } catch (error) {
      if (error instanceof NoAnswer) this.#say(error.message);
      else if ((error as Error).name !== "AbortError") throw error;
    }
  }

  /** Puts an answer into the page: markers at their lines, and the parts beside the text. */
  #take(got: Answer): void {
    fill(got.html);
    this.#mark(got.problems);
    if (got.sha256 !== null && got.theirs === null) this.#expect(got.sha256);
  }

  #expect(sha256: string): void {
    const field = $<HTMLInputElement>("input[name=expected]", this.#form);
    if (field) field.value = sha256;
  }

  #mark(problems: Problem[]): void {
    const { doc } = this.#view.state;
    const own = problems.filter((problem) => problem.path === this.#form.dataset["path"] && problem.line > 0);
    const marks = own.map((problem): Diagnostic => {
      const line = doc.line(Math.min(problem.line, doc.lines));
      const indent = line.text.length - line.text.trimStart().length;
      const from = Math.min(line.to, line.from + (problem.column > 0 ? problem.column - 1 : indent));
      const word = /^[^\s;{}]+/.exec(doc.sliceString(from, line.to))?.[0].length ?? 0;
      const to = problem.column > 0 && word > 0 ? from + word : line.to;
      return {
        from,
        to: Math.max(from, to),
        severity: problem.severity === "warning" ? "warning" : "error",
        message: problem.hint ? `${problem.message} ${problem.hint}` : problem.message,
        source: problem.source,
      };
    });
    marks.sort((a, b) => a.from - b.from);
    this.#view.dispatch(setDiagnostics(this.#view.state, marks));
  }

  async #apply(): Promise<void> {
    if (!this.#applies || this.#busy || document.querySelector("dialog[open]")) return;
    this.#busy = true;
    clearTimeout(this.#timer);
    this.#asking?.abort();
    try {
      await this.#applying();
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.#say(error.message);
    } finally {
      this.#busy = false;
    }
  }

  async #applying(): Promise<void> {
    const expected = $<HTMLInputElement>("input[name=expected]", this.#form)?.value ?? "";
    const now = await live(this.#form);
    if ((now?.sha256 ?? "") !== expected) return this.#conflict(await send(this.#form, "merge", this.#text()));
    const text = this.#text();
    if (now && now.content === text && !$<HTMLInputElement>("input[name=enable]:checked")) {
      this.#saved = text;
      this.#show();
      return this.#say("Nothing differs from what is on the host.");
    }
    if (!(await review(now?.content ?? "", text, this.#nonce))) return this.#view.focus();
    this.#say("Applying: test, swap, reload, verify…");
    const got = await send(this.#form, "apply", text);
    if (got.theirs !== null) return this.#conflict(got);
    this.#take(got);
    if (got.ok) {
      this.#saved = text;
      const why = $<HTMLInputElement>("#config-reason");
      if (why) why.value = "";
      sessionStorage.removeItem(this.#draftKey());
      for (const box of document.querySelectorAll<HTMLInputElement>("input[name=enable]")) box.checked = false;
    }
    this.#say(got.ok ? "Applied" : "Not applied: everything is as it was");
    document.getElementById("config-result")?.scrollIntoView({ block: "nearest" });
    if (location.search) address.replaceState(null, "", location.pathname);
  }

  #conflict(got: Answer): void {
    this.#clash = got;
    this.#take(got);
    this.#say("Somebody else changed this file meanwhile");
    document.getElementById("config-result")?.scrollIntoView({ block: "nearest" });
  }

  #onClick(event: MouseEvent): void {
    const target = event.target as Element;
    const way = target.closest<HTMLElement>("[data-take]")?.dataset["take"];
    if (way && this.#clash) return this.#resolve(way, this.#clash);
    const place = target.closest<HTMLElement>("[data-line]");
    if (!place || place.dataset["path"] !== this.#form.dataset["path"]) return;
    event.preventDefault();
    this.#toLine(Number(place.dataset["line"]));
  }

  /** What is edited from here on began with their version. */
  #resolve(way: string, clash: Answer): void {
    this.#saved = clash.theirs ?? "";
    this.#expect(clash.sha256 ?? "");
    if (way === "theirs") this.#put(clash.theirs ?? "");
    if (way === "merged" && clash.merged !== null) this.#put(clash.merged);
    this.#clash = undefined;
    document.getElementById("config-result")?.replaceChildren();
    this.#show();
    this.#view.focus();
    const marks = this.#text().indexOf("<<<<<<<");
    if (way === "merged" && marks >= 0) {
      this.#view.dispatch({ selection: { anchor: marks }, scrollIntoView: true });
      this.#say("Choose between the marked lines");
    }
  }

  /** A change was kept or put back: the file may be another one now. */
  async #lookAgain(): Promise<void> {
    if (this.#busy) return;
    const now = await live(this.#form).catch(() => undefined);
    const expected = $<HTMLInputElement>("input[name=expected]", this.#form)?.value ?? "";
    if (now === undefined || (now?.sha256 ?? "") === expected) return;
    if (this.#isDirty()) return this.#say("The file changed on the host meanwhile; you will see both before anything is applied");
    this.#expect(now?.sha256 ?? "");
    this.#saved = now?.content ?? "";
    this.#put(this.#saved);
    this.#say("The file is another one now: this is what is on the host");
  }

  #toHash(): void {
    const line = /^#L(\d+)$/.exec(location.hash)?.[1];
    if (line) this.#toLine(Number(line));
  }

  #toLine(number: number): void {
    const { doc } = this.#view.state;
    const line = doc.line(Math.max(1, Math.min(number, doc.lines)));
    this.#view.dispatch({ selection: { anchor: line.from }, effects: EditorView.scrollIntoView(line.from, { y: "center" }) });
    this.#view.focus();
  }
}

/** Named apart from the undo history. */
const address = window.history;
const form = $<HTMLFormElement>("form[data-editor]");
const field = form && $<HTMLTextAreaElement>("textarea", form);
if (form && field) new Editor(form, field);
