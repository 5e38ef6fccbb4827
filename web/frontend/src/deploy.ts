// Deployments: the output is divided by steps as they become known; a .env file is read into its text.
import { $ } from "./dom";

/** Of steps that begin at the same place all but the last wrote nothing. */
function markSteps(): void {
  const steps = new Map<string, HTMLElement>();
  for (const link of document.querySelectorAll<HTMLElement>("#deployment [data-step-at]")) {
    steps.set(`o-${link.dataset["stepAt"]}`, link);
  }
  for (const [id, { dataset }] of steps) {
    const row = document.getElementById(id);
    if (!row) continue;
    if (row.dataset["step"] !== dataset["stepTitle"]) row.dataset["step"] = dataset["stepTitle"] ?? "";
    // Its host announced it by a line of its own.
    const before = row.previousElementSibling as HTMLElement | null;
    if (before && !before.hidden && before.textContent === `== ${dataset["stepName"]}`) before.hidden = true;
  }
}

/** A file that is larger is no .env file. */
const LARGEST = 1 << 20;

async function readFile(input: HTMLInputElement): Promise<void> {
  const text = document.getElementById(input.dataset["fileInto"] ?? "");
  const file = input.files?.[0];
  if (!(text instanceof HTMLTextAreaElement) || !file) return;
  const fits = file.size <= LARGEST;
  input.setCustomValidity(fits ? "" : "This file is larger than 1 MiB, and no .env file.");
  input.reportValidity();
  if (!fits) return;
  text.value = await file.text();
  text.focus();
}

export function startDeploy(): void {
  document.addEventListener("change", (event) => {
    const input = event.target as Element;
    if (input instanceof HTMLInputElement && input.matches("[data-file-into]")) void readFile(input);
  });
  const [card, rows] = [$("#deployment"), $("#output-rows")];
  if (!card || !rows) return;
  markSteps();
  // A row that is sent again has lost its mark.
  const options = { childList: true, subtree: true, attributes: true, attributeFilter: ["data-step-at", "data-step", "hidden"] };
  const observer = new MutationObserver(markSteps);
  observer.observe(card, options);
  observer.observe(rows, options);
}
