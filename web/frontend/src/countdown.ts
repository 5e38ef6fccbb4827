// Seconds that are left until a change is put back.
import { now } from "./time";

function tick(): void {
  for (const place of document.querySelectorAll<HTMLElement>("[data-until]")) {
    const left = Math.max(0, Math.ceil((Number(place.dataset["until"]) / 1000 - now()) / 1000));
    const words = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (place.textContent !== words) place.textContent = words;
  }
}

export function startCountdown(): void {
  setInterval(tick, 500);
}
