// Sets the chosen theme before the first paint; a small script of its own because it blocks.
const theme = localStorage.getItem("theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
