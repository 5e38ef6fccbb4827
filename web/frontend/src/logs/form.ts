// The filters of the logs.

export function startForm(): void {
  const form = document.querySelector<HTMLFormElement>("[data-logs-form]");
  if (!form) return;
  form.addEventListener("formdata", (event) => {
    // A filter without a value does not belong into the address.
    const kept = [...event.formData].filter(([, value]) => value !== "");
    for (const [name] of [...event.formData]) event.formData.delete(name);
    for (const [name, value] of kept) event.formData.append(name, value);
  });
  form.addEventListener("change", (event) => {
    if ((event.target as Element).matches("select")) form.requestSubmit();
  });
  for (const picker of form.querySelectorAll<HTMLDetailsElement>("details.picker")) {
    const chosen = (): string => [...picker.querySelectorAll("input")].map((box) => Number(box.checked)).join("");
    let before = chosen();
    picker.addEventListener("toggle", () => {
      if (picker.open) before = chosen();
      else if (chosen() !== before) form.requestSubmit();
    });
  }
  const close = (keep?: Element | null): void => {
    for (const picker of document.querySelectorAll<HTMLDetailsElement>("details.picker[open]")) if (picker !== keep) picker.open = false;
  };
  document.addEventListener("click", (event) => close((event.target as Element).closest("details.picker")));
  document.addEventListener("keydown", (event) => {
    const picker = event.key === "Escape" && document.querySelector<HTMLDetailsElement>("details.picker[open]");
    if (!picker) return;
    picker.open = false;
    picker.querySelector("summary")?.focus();
  });
}
