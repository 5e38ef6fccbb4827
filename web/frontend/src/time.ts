// Times that tell how long ago they are. The server's clock counts, not the one of this machine.
const SECOND = 1000;
let ahead = 0;

export const now = (): number => Date.now() + ahead;
export const setClock = (server: number): void => {
  ahead = server - Date.now();
};

/** Two units at most, as the server writes it: `3 d 4 h`, `12 min`, `8 s`. */
export function duration(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor(seconds / 3_600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${minutes} min`;
  if (seconds < 86_400) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  return days < 10 && hours ? `${days} d ${hours} h` : `${days} d`;
}

function words(at: number, kind: string): string {
  const away = now() - at;
  if (kind === "length") return duration(Math.max(0, Math.floor(away / SECOND)));
  if (Math.abs(away) < 5 * SECOND) return "just now";
  const length = duration(Math.floor(Math.abs(away) / SECOND));
  return away > 0 ? `${length} ago` : `in ${length}`;
}

function refresh(): void {
  if (document.hidden) return;
  for (const time of document.querySelectorAll<HTMLTimeElement>("time[data-rel]")) {
    const text = words(Date.parse(time.dateTime), time.dataset["rel"] ?? "");
    if (time.textContent !== text) time.textContent = text;
  }
}

export function startTimes(): void {
  const rendered = Number(document.body.dataset["now"]);
  if (rendered) setClock(rendered / SECOND);
  setInterval(refresh, SECOND);
  document.addEventListener("visibilitychange", refresh);
}

export const clock = (at: number): string => new Date(at).toISOString().slice(11, 19);
