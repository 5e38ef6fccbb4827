// A host whose agent is gone: its apps are unreachable, and at no moment stopped.

import { examine, expect, logIn, onHost, withPage } from "./lib.mjs";

const PATIENCE = { timeout: 60_000 };

/** Writes down every state that the app's row ever shows. */
function watchStates() {
  window.states = new Set();
  const note = () => window.states.add(document.querySelector("#app-tobacco .app-state .state").textContent);
  new MutationObserver(note).observe(document.querySelector("main"), { subtree: true, childList: true, characterData: true });
  note();
}

await withPage(async (page) => {
  await logIn(page);
  const row = page.locator("#app-tobacco");
  const state = (word) => row.locator(".app-state").getByText(word).waitFor(PATIENCE);
  await state("Running");
  await page.evaluate(watchStates);

  await onHost("borealis", "systemctl", "stop", "hms-agent.service");
  await state("Unreachable");
  expect((await onHost("borealis", "systemctl", "is-active", "puma-tobacco.service")) === "active", "the app stopped");
  await page.locator("#attention").getByText("borealis is unreachable").waitFor(PATIENCE);
  await page.locator("#host-borealis").getByText("Apps on it may well be running.").waitFor(PATIENCE);
  await page.locator("#app-cigar .app-state").getByText("Running").waitFor();
  await examine(page, "unreachable");

  // A page that is opened now says the same as one that was open.
  await page.reload();
  await state("Unreachable");
  await page.evaluate(watchStates);
  await onHost("borealis", "systemctl", "start", "hms-agent.service");
  await state("Running");
  await page.locator("#attention").getByText("borealis is unreachable").waitFor({ state: "detached", ...PATIENCE });
  const states = await page.evaluate(() => [...window.states]);
  expect(!states.includes("Stopped"), `the app was shown as ${states.join(", ")}`);
});
