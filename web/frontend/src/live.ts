// The one stream of this tab, and the mark that tells the truth about it.
import { refresh } from "./actions";
import { $, type Fragment, place, toLogin } from "./dom";
import { rows } from "./follow";
import { clock, now, setClock } from "./time";

/** Two and a half heartbeats. */
const STALE_AFTER = 25_000;
const LONGEST_WAIT = 30_000;
/** A stream that lived so long was not refused. */
const SETTLED = 3000;

type State = "live" | "reconnecting" | "stale";

class Stream {
  #source: EventSource | undefined;
  #cursor = "";
  #heard = now();
  #opened = now();
  #waits = 0;
  #retry: number | undefined;
  #refused = "";
  #ended = false;
  #looks: number;

  constructor(readonly base: string) {
    this.#open();
    this.#looks = setInterval(() => this.#look(), 1000);
    addEventListener("online", () => this.#ended || this.#again(0));
    addEventListener("pagehide", () => this.#source?.close());
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }

  #open(): void {
    this.#retry = undefined;
    this.#opened = now();
    this.#source?.close();
    const url = new URL(this.base, location.href);
    if (this.#cursor) url.searchParams.set("after", this.#cursor);
    const source = new EventSource(url);
    this.#source = source;
    const on = (name: string, act: (data: string, event: MessageEvent<string>) => void): void =>
      source.addEventListener(name, (event) => {
        const message = event as MessageEvent<string>;
        this.#hear(name);
        if (message.lastEventId) this.#cursor = message.lastEventId;
        act(message.data, message);
      });
    on("fragment", (data) => {
      // A fragment for something that is not there means that the page has another shape now.
      if (!place(JSON.parse(data) as Fragment)) this.#reshape();
    });
    on("log", (data) => rows(JSON.parse(data) as Fragment));
    // The page of the logs puts its rows in place itself.
    on("lines", (data) => void document.dispatchEvent(new CustomEvent("hms:lines", { detail: data })));
    on("place", () => {});
    on("reshape", () => this.#reshape());
    on("beat", (data) => {
      const at = (JSON.parse(data) as { now?: number }).now;
      if (at) setClock(at / 1000);
    });
    on("ended", () => {
      source.close();
      this.#ended = true;
      clearInterval(this.#looks);
      this.#retry = undefined;
      const mark = $("#live");
      if (mark) mark.dataset["state"] = "still";
      const word = mark && $("[data-live-word]", mark);
      if (word) word.textContent = "Ended";
    });
    on("session", () => {
      source.close();
      toLogin();
    });
    on("refused", (data) => {
      this.#refused = (JSON.parse(data) as { message: string }).message;
      this.#again();
    });
    // A browser tries again after a broken connection, but never after an answer that is not 200, and it does not tell
    // which it was: so every attempt is our own.
    source.addEventListener("error", () => {
      if (this.#ended) return;
      if (this.#heard < this.#opened) void this.#askWhy(url);
      this.#again();
    });
  }

  /** A stream that never began may be one of a login that has ended meanwhile. */
  async #askWhy(url: URL): Promise<void> {
    const stop = new AbortController();
    try {
      const { status } = await fetch(url, { headers: { Accept: "text/event-stream" }, signal: stop.signal });
      if (status === 401) toLogin();
    } catch {
      // Nobody answers: the stream is tried again anyway.
    } finally {
      stop.abort();
    }
  }

  #hear(name: string): void {
    this.#heard = now();
    // A stream that is refused begins with a beat, too: only what it is for, or time, shows that it is served.
    if (name !== "beat" && name !== "refused") this.#settle();
    if (!this.#refused) this.#show("live", "Live");
    if (name === "fragment" || name === "log" || name === "lines") pulse();
  }

  #settle(): void {
    this.#refused = "";
    this.#waits = 0;
    this.#show("live", "Live");
  }

  #again(wait = Math.min(LONGEST_WAIT, 1000 * 2 ** this.#waits) * (0.75 + Math.random() / 2)): void {
    this.#source?.close();
    this.#waits += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#open(), wait);
    this.#look();
  }

  #look(): void {
    const open = this.#retry === undefined;
    const heardNow = this.#heard > this.#opened && now() - this.#heard < STALE_AFTER;
    if (open && heardNow && now() - this.#opened > SETTLED && (this.#refused || this.#waits)) this.#settle();
    if (this.#refused) this.#show("reconnecting", this.#refused);
    else if (now() - this.#heard > STALE_AFTER) {
      this.#show("stale", `Stale since ${clock(this.#heard)} UTC`);
      // Silence without an error: the connection is half open.
      if (open && now() - this.#opened > STALE_AFTER) this.#again();
    } else if (!open) this.#show("reconnecting", "Reconnecting");
  }

  #show(state: State, words: string): void {
    const mark = $("#live");
    const word = mark && $("[data-live-word]", mark);
    if (!mark || !word) return;
    mark.dataset["state"] = state;
    if (word.textContent === words) return;
    word.textContent = words;
    mark.title = words;
  }

  #reshaping = false;
  async #reshape(): Promise<void> {
    if (this.#reshaping) return;
    this.#reshaping = true;
    try {
      await refresh();
    } finally {
      setTimeout(() => (this.#reshaping = false), 2000);
    }
  }
}

function pulse(): void {
  const mark = $("#live");
  if (!mark || mark.classList.contains("heard")) return;
  mark.classList.add("heard");
  setTimeout(() => mark.classList.remove("heard"), 1200);
}

export function startStream(): void {
  const base = document.body.dataset["events"];
  if (base) new Stream(base);
}
