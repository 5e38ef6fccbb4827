// Runs before the first paint, and therefore alone: the chosen theme, and the word that scripts work.
const root = document.documentElement;
root.classList.add("js");
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
} catch {
  // Storage can be switched off; the system's theme is right then.
}
