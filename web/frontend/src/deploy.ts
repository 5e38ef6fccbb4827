// Deployments: the output is divided by steps as they become known; a .env file is read into its text.
import { $ } from "./dom";

/** Of steps that begin at the same place all but the last wrote nothing. */
function markSteps(): void {
  const names = new Map<string, string>();
  for (const link of document.querySelectorAll<HTMLElement>("#deployment [data-step-at]")) {
    names.set(`o-${link.dataset["stepAt"]}`, link.dataset["stepName"] ?? "");
  }
  for (const [id, name] of names) {
    const row = document.getElementById(id);
    if (row && row.dataset["step"] !== name) row.dataset["step"] = name;
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
  const options = { childList: true, subtree: true, attributes: true, attributeFilter: ["data-step-at", "data-step"] };
  const observer = new MutationObserver(markSteps);
  observer.observe(card, options);
  observer.observe(rows, options);
}
