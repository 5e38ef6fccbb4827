// Scripts: find one, fill in its form, run it, watch it, find what it wrote, run it again, let it run by itself.

import { readFile } from "node:fs/promises";
import { examine, expect, inOrder, logIn, onHost, withPage } from "./lib.mjs";

const PATIENCE = { timeout: 60_000 };
const ENDS = "/run/hms-walk-ends";

const live = (page) => page.locator("#live[data-state=live]").waitFor(PATIENCE);
const rows = (page) => page.locator("#output-rows li").allTextContents();
const sum = (page, word) => page.locator(".run-sum").getByText(word, { exact: true }).waitFor(PATIENCE);

async function findTheScript(page) {
  await page.goto("/scripts");
  await page.getByRole("link", { name: "Walk slowly" }).waitFor();
  await examine(page, "scripts");
  await page.getByLabel("Search scripts").fill("kettle");
  await page.getByRole("link", { name: "Walk slowly" }).waitFor({ state: "hidden" });
  expect(new URL(page.url()).searchParams.get("q") === "kettle", `the search is not in ${page.url()}`);
  await page.reload();
  await page.getByRole("link", { name: "Walk slowly" }).waitFor({ state: "hidden" });
  await page.getByLabel("Search scripts").fill("walk line");
  await page.getByLabel("Search scripts").press("Enter");
  await page.waitForURL(/\/scripts\/walk_slowly/);
}

async function fillInTheForm(page) {
  await page.locator("#preview").getByText("Still needed").waitFor(PATIENCE);
  await page.getByLabel("Ends with").fill("12");
  await page.locator("#p-status-error").getByText("12 is not in 0 to 9").waitFor(PATIENCE);
  expect((await page.getByLabel("Ends with").getAttribute("aria-invalid")) === "true", "the field is not marked");
  await examine(page, "script-refused");
  await page.getByLabel("Ends with").fill("3");
  await page.getByLabel("Words").fill("a b; $(id) 'c'");
  await page.locator("#p-app").selectOption("cigar");
  const preview = page.locator("#preview");
  await preview.getByText("--app=cigar").waitFor(PATIENCE);
  await preview.getByText("HMS_PARAM_WORDS=a b; $(id) 'c'").waitFor(PATIENCE);
  await preview.getByText("--status=3").waitFor(PATIENCE);
  await page.locator("#p-status-error:empty").waitFor({ ...PATIENCE, state: "attached" });
  await page.locator("details", { hasText: "Schedule" }).locator("summary").click();
  await page.getByLabel("When, in UTC").fill("30 4 * * 1");
  await page.locator("#cron-times").getByText("04:30").first().waitFor(PATIENCE);
  await examine(page, "script");
}

async function runIt(page) {
  await page.locator(".button-run").click();
  const question = page.getByRole("dialog", { name: "Walk slowly?" });
  await question.getByText(/changes something on asterra/).waitFor();
  await question.getByRole("button", { name: "Cancel" }).click();
  expect(page.url().includes("/scripts/"), "it ran although the answer was no");
  await page.locator(".button-run").click();
  await question.getByRole("button", { name: "Run it" }).click();
  await page.waitForURL(/\/runs\//, PATIENCE);
}

const steps = (texts) => texts.filter((text) => text.startsWith("step-"));

async function watchIt(page) {
  await live(page);
  await page.locator("#output-rows").getByText("step-020").waitFor(PATIENCE);
  await onHost("asterra", "systemctl", "kill", "--kill-who=main", "--signal=KILL", "hms-controller.service");
  await page.locator("#output-rows").getByText("unfinished", { exact: false }).waitFor(PATIENCE);
  await live(page);
  await examine(page, "run-running");
  await onHost("asterra", "touch", ENDS);
  await page.locator("#output-rows").getByText("unfinished line is finished").waitFor(PATIENCE);
  await sum(page, "Failed");
  await page.locator(".run-sum").getByText("exit status 3").waitFor(PATIENCE);
  await page.locator("#live").getByText("Ended").waitFor(PATIENCE);
  const texts = await rows(page);
  const wanted = Array.from({ length: 400 }, (_, n) => `step-${String(n + 1).padStart(3, "0")}`);
  expect(steps(texts).join() === wanted.join(), `not each line once and in order: ${steps(texts).join()}`);
  expect(texts.includes("looking for a b; $(id) 'c'"), "the words did not arrive as they were typed");
  expect((await page.locator("#output-rows .f2.bold").first().textContent()) === "walking", "the colours are missing");
  expect((await page.locator("#output-rows img").count()) === 0, "what a script wrote became part of the page");
}

async function lookAtTheResult(page) {
  await page.reload();
  await sum(page, "Failed");
  expect(steps(await rows(page)).length === 400, "a page that is opened now has other output");
  await examine(page, "run-failed");
  await page.getByLabel("Find in the output").fill("step-12");
  await page.locator("[data-found]").getByText("10", { exact: true }).waitFor();
  await page.getByLabel("Find in the output").press("Enter");
  await page.locator("[data-found]").getByText("1 of 10").waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
  const text = await readFile(await download.path(), "utf8");
  expect(/^walk_slowly-asterra-.*\.txt$/.test(download.suggestedFilename()), download.suggestedFilename());
  expect(text.includes("\u001b[31mfinished\u001b[0m\n"), "the file is not what was written");
}

async function runItAgain(page) {
  await page.getByRole("link", { name: "Run again" }).click();
  await page.waitForURL(/\/scripts\/walk_slowly\?/);
  expect((await page.getByLabel("Words").inputValue()) === "a b; $(id) 'c'", "the words are not there again");
  expect((await page.getByLabel("Ends with").inputValue()) === "3", "the status is not there again");
  await onHost("asterra", "rm", ENDS);
  await page.locator("#preview").getByText("--status=3").waitFor(PATIENCE);
  await page.locator(".button-run").click();
  await page.getByRole("dialog").getByRole("button", { name: "Run it" }).click();
  await page.waitForURL(/\/runs\//, PATIENCE);
  await page.locator("#output-rows").getByText("walking").waitFor(PATIENCE);
  await page.locator("#run").getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel the run" }).click();
  await sum(page, "Canceled");
  const left = await onHost("asterra", "systemctl", "list-units", "--no-legend", "--state=active", "hms-job-*");
  expect(left === "", `something of it is left: ${left}`);
}

async function checkAllHosts(page) {
  await page.goto("/");
  await page.getByText("Check all hosts").click();
  await page.getByRole("button", { name: "Probe the kettle" }).click();
  await page.waitForURL(/\/runs\//, PATIENCE);
  await page.locator(".findings").getByText("it is cold").waitFor(PATIENCE);
  await examine(page, "run-check");
  await page.goto("/");
  const item = page.locator("#attention li", { hasText: "the kettle on asterra" });
  await item.waitFor(PATIENCE);
  await examine(page, "dashboard-warning");
  await item.getByRole("link").click();
  await page.waitForURL(/\/runs\//);
}

async function lookBack(page) {
  await page.goto("/runs?script=walk_slowly");
  expect((await page.locator("table.runs tbody tr").count()) === 2, "two runs were begun");
  await examine(page, "runs");
  await page.getByLabel("State").selectOption("canceled");
  await page.waitForURL(/state=canceled/);
  expect((await page.locator("table.runs tbody tr").count()) === 1, "one of them was canceled");
}

async function letItRunByItself(page) {
  await page.goto("/scripts/probe?cron=30+4+*+*+1");
  await page.locator("#cron-times").getByText("04:30").first().waitFor(PATIENCE);
  await page.getByRole("button", { name: "Schedule", exact: true }).click();
  await page.waitForURL(/\/schedules/, PATIENCE);
  const row = page.locator("table.schedules tbody tr", { hasText: "30 4 * * 1" });
  await row.waitFor();
  await examine(page, "schedules");
  await row.getByRole("button", { name: "Pause" }).click();
  await row.getByText("paused").waitFor(PATIENCE);
  await row.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove it" }).click();
  await row.waitFor({ ...PATIENCE, state: "detached" });
}

async function labelTheHost(page) {
  await page.goto("/hosts");
  const row = page.locator("#host-row-asterra");
  await row.locator("summary", { hasText: "Labels" }).click();
  await page.getByLabel("Labels of asterra, with spaces between them").fill("web env=test");
  await row.getByRole("button", { name: "Save" }).click();
  await row.getByRole("listitem").getByText("env=test").waitFor(PATIENCE);
  await page.goto("/scripts/probe?on=label");
  await page.getByLabel("Label", { exact: true }).selectOption("web");
  await page.locator(".button-run").getByText("Run on asterra").waitFor(PATIENCE);
  await page.keyboard.press("Control+k");
  await page.keyboard.type("walk slowly");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/scripts\/walk_slowly/);
}

const STEPS = {
  logIn: (page) => logIn(page),
  findTheScript,
  fillInTheForm,
  runIt,
  watchIt,
  lookAtTheResult,
  runItAgain,
  checkAllHosts,
  lookBack,
  letItRunByItself,
  labelTheHost,
};

await withPage((page, context) => inOrder(STEPS, page, context));
