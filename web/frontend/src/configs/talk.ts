// What the editor asks of the controller.
export interface Problem {
  path: string;
  line: number;
  column: number;
  severity: string;
  message: string;
  hint: string;
  source: string;
  directive: string;
}

/** As `ConfigAnswer` of the server. */
export interface Answer {
  ok: boolean;
  problems: Problem[];
  html: string;
  sha256: string | null;
  theirs: string | null;
  merged: string | null;
}

export interface Live {
  sha256: string;
  content: string;
}

const HEADERS = { Accept: "application/json", "X-Requested-With": "hms" };

/** Words for a person, when there is no answer that fits. */
export class NoAnswer extends Error {}

async function read<T>(response: Response): Promise<T> {
  if (response.status === 401) throw new NoAnswer("Your login has ended. Log in again in another tab; nothing here is lost.");
  const kind = response.headers.get("content-type") ?? "";
  if (kind.includes("json")) return (await response.json()) as T;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const title = page.querySelector("h1")?.textContent ?? `The controller answered with status ${response.status}`;
  const more = page.querySelector("main p:not(.brand, .code)")?.textContent ?? "";
  throw new NoAnswer(`${title.trim()}. ${more.trim()}`);
}

async function ask<T>(url: string, options: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, { ...options, headers: HEADERS });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new NoAnswer("The controller did not answer. Whether this was done is not known: look at the history once it is back.");
  }
  return read<T>(response);
}

/** The file as it is on the host now; none: it is gone. */
export const live = (form: HTMLFormElement): Promise<Live | null> => ask<Live | null>(form.action, { method: "GET" });

/** Sends the form with this text instead of the one in its field. */
export function send(form: HTMLFormElement, verb: string, text: string, signal?: AbortSignal): Promise<Answer> {
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (name !== "content") body.append(name, String(value));
  body.set("do", verb);
  body.set("content", text);
  return ask<Answer>(form.action, { method: "POST", body, ...(signal ? { signal } : {}) });
}
