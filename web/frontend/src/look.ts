// The choice between light and dark, kept in this browser.
import { $ } from "./dom";

export function startLook(): void {
  const themes = $("[data-themes]");
  if (!themes) return;
  const chosen = document.documentElement.dataset["theme"] ?? "system";
  const radio = $<HTMLInputElement>(`input[value="${chosen}"]`, themes);
  if (radio) radio.checked = true;
  themes.addEventListener("change", (event) => {
    const theme = (event.target as HTMLInputElement).value;
    if (theme === "system") {
      delete document.documentElement.dataset["theme"];
      localStorage.removeItem("theme");
    } else {
      document.documentElement.dataset["theme"] = theme;
      localStorage.setItem("theme", theme);
    }
  });
}
