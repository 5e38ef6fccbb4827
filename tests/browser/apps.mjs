// Apps: add one, give it secrets, deploy it and watch, see why another does not go live, go back, take it away.

import { examine, expect, inOrder, logIn, screenshot, setting, withPage } from "./lib.mjs";

const PATIENCE = { timeout: 60_000 };
/** A deployment boots Rails twice. */
const LONG = { timeout: 180_000 };
const SECRET = "hunter2-canary";

const live = (page) => page.locator("#live[data-state=live]").waitFor(PATIENCE);
const steps = (page) =>
  page.locator(".timeline .step").evaluateAll((all) =>
    all.map((one) => [one.id.replace("step-", ""), one.className.replace("step step-", "")]),
  );

const over = () => /Succeeded|Failed|Canceled|Timed out|Lost/.test(document.querySelector(".run-sum h2")?.textContent ?? "");

/** Fails with what the page tells when a deployment did not end so. */
async function mustEnd(page, word) {
  await page.waitForFunction(over, undefined, LONG);
  const told = (await page.locator("#deployment").innerText()).slice(0, 2000);
  expect((await page.locator(".run-sum h2").innerText()).includes(word), `it did not end as ${word}:\n${told}`);
}

async function beginWithNothing(page) {
  await page.goto("/");
  await page.keyboard.press("g");
  await page.keyboard.press("p");
  await page.waitForURL(/\/deploy$/);
  await page.getByText("No app yet").waitFor();
  await examine(page, "deploy-empty");
  await page.getByRole("link", { name: "Add the first app" }).click();
  await page.waitForURL(/\/apps\/new/);
}

async function addTheApp(page) {
  await page.getByLabel("Key", { exact: true }).fill("cigar");
  await page.getByLabel("Subdomain").fill("cigar");
  await page.getByLabel("Domain", { exact: true }).fill("test");
  await page.getByLabel("Repository").fill("ext::sh -c id");
  await page.getByLabel("Gems", { exact: true }).selectOption("system");
  await page.getByLabel("Asset tasks").fill("assets:precompile");
  await page.getByLabel("Release tasks").fill("db:migrate");
  await page.getByLabel("Threads, least").fill("1");
  await page.getByLabel("Threads, most").fill("3");
  await page.getByRole("textbox", { name: "Database" }).fill("cigar");
  await page.getByRole("button", { name: "Add app" }).click();
  await page.locator("#s-git_url-error:not(:empty)").waitFor(PATIENCE);
  expect((await page.getByLabel("Repository").getAttribute("aria-invalid")) === "true", "the field is not marked");
  expect((await page.getByLabel("Release tasks").inputValue()) === "db:migrate", "what was typed is lost");
  await examine(page, "app-new-refused");
  await page.getByLabel("Repository").fill(setting("HMS_REPOSITORY"));
  await page.getByRole("button", { name: "Add app" }).click();
  await page.waitForURL(/\/apps\/cigar$/, PATIENCE);
  await page.getByText("Not deployed by HMS yet").waitFor();
}

async function giveItSecrets(page) {
  await page.getByRole("link", { name: "Secrets", exact: true }).click();
  await page.waitForURL(/\/secrets$/);
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("SMTP_PASSWORD");
  await page.getByLabel("Value").fill(SECRET);
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#secret-SMTP_PASSWORD").waitFor(PATIENCE);
  expect((await page.getByLabel("Value").inputValue()) === "", "the value stays in the form");
  await page.getByLabel("Text").fill("# of a laptop\nSMTP_PASSWORD=other\nMAIL_HOST='mx.test'\n");
  await page.getByRole("button", { name: "Compare" }).click();
  const change = page.locator(".secret-diff");
  await change.getByText("+ MAIL_HOST").waitFor(PATIENCE);
  await change.getByText("~ SMTP_PASSWORD").waitFor();
  expect((await page.locator("#secret-MAIL_HOST").count()) === 0, "comparing saved it");
  await examine(page, "app-secrets-import");
  await page.getByLabel("Text").fill("MAIL_HOST='mx.test'\n");
  await page.getByRole("button", { name: "Import" }).click();
  await page.locator("#secret-MAIL_HOST").waitFor(PATIENCE);
  await page.getByRole("button", { name: "Make a deploy key" }).click();
  await page.locator(".copy pre", { hasText: "ssh-ed25519 " }).waitFor(PATIENCE);
}

async function revealOne(page) {
  const row = page.locator("#secret-SMTP_PASSWORD");
  const give = async (password) => {
    if (!(await row.getByLabel("Your password").isVisible())) await row.locator("summary").click();
    await row.getByLabel("Your password").fill(password);
    const sent = page.waitForResponse((response) => response.request().method() === "POST");
    await row.getByRole("button", { name: "Reveal SMTP_PASSWORD" }).click();
    return await sent;
  };
  await give("not the password");
  await page.locator("#secrets .notice-bad").waitFor(PATIENCE);
  expect(!(await page.content()).includes(SECRET), "it is shown without the password");
  const answer = await give(setting("HMS_PASSWORD"));
  await row.getByText(SECRET).waitFor(PATIENCE);
  expect(answer.headers()["cache-control"] === "no-store", "a browser may keep the answer");
  await examine(page, "app-secrets-revealed");
  await page.reload();
  await row.waitFor();
  expect(!(await page.content()).includes(SECRET), "it is shown twice");
}

async function deployIt(page) {
  await page.goto("/deploy");
  await page.locator("#deploy-cigar").getByRole("button", { name: "Deploy main of cigar" }).click();
  await page.waitForURL(/\/deployments\/[0-9a-f-]{36}$/, PATIENCE);
  await live(page);
  await page.locator("#step-fetch:not(.step-waiting), .failure").first().waitFor(LONG);
  if (await page.locator(".failure").count()) await mustEnd(page, "Succeeded");
  // It is seen on the way elsewhere, too, and nobody loses it by going away.
  await page.goto("/deploy");
  await page.locator("#deploy-cigar .step-bar").waitFor(PATIENCE);
  await screenshot(page, "deploy-running");
  await page.locator("#deploy-cigar").getByRole("link", { name: "Watch" }).click();
  await page.waitForURL(/\/deployments\//);
  await examine(page, "deployment-running");
  await mustEnd(page, "Succeeded");
  await watchedWell(page);
  await page.reload();
  await watchedWell(page);
  await examine(page, "deployment");
}

/** Each step was done in its order, its time is told, and the output is divided by steps. */
async function watchedWell(page) {
  const told = await steps(page);
  const names = told.map(([name]) => name);
  const wanted = ["prepare", "fetch", "checkout", "bundle", "assets", "release", "trial", "switch", "restart", "health"];
  expect(names.slice(0, wanted.length).join() === wanted.join(), `other steps: ${names.join()}`);
  const odd = told.filter(([, state]) => state !== "done" && state !== "skipped");
  expect(odd.length === 0, `not done: ${odd.join(" ")}`);
  for (const name of ["fetch", "assets", "release"]) {
    const time = (await page.locator(`#step-${name} .step-time`).innerText()).trim();
    expect(/^\d/.test(time), `${name} took “${time}”`);
  }
  const heads = await page.locator("#output-rows [data-step]").evaluateAll((rows) => rows.map((row) => row.dataset.step));
  expect(heads.includes("Release tasks"), `the output is not divided by steps: ${heads.join()}`);
  await page.locator("#step-release a").click();
  expect(await page.locator("#output-rows li:target[data-step='Release tasks']").count(), "the step leads nowhere");
}

async function seeItEverywhere(page) {
  await page.goto("/");
  const row = page.locator("#app-cigar");
  await row.getByText("Running").waitFor(PATIENCE);
  const commit = await row.locator(".app-where a").innerText();
  expect(/^[0-9a-f]{7}$/.test(commit), `no commit on the dashboard: ${commit}`);
  await page.locator(".activity-rows").getByRole("link", { name: "cigar" }).first().waitFor(PATIENCE);
  await examine(page, "dashboard-deployed");
  await row.getByRole("link", { name: "cigar", exact: true }).click();
  await page.waitForURL(/\/apps\/cigar$/);
  await page.locator(".releases").getByText("live", { exact: true }).waitFor(PATIENCE);
  await live(page);
  await examine(page, "app");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("cigar plan");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/apps\/cigar\/plan/);
  await page.getByText("Nothing: asterra has what HMS knows.").waitFor(PATIENCE);
}

async function deployAnotherBranch(page, branch) {
  await page.goto("/deploy");
  const row = page.locator("#deploy-cigar");
  await row.locator("summary").click();
  await row.getByLabel("Branch").fill(branch);
  await row.getByRole("button", { name: "Deploy this" }).click();
  await page.waitForURL(/\/deployments\//, PATIENCE);
}

async function deliverSecrets(page) {
  await page.goto("/apps/cigar/secrets");
  await page.locator("#secret-API_TOKEN").getByRole("button", { name: "Rotate" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Make a new one" }).click();
  await page.locator("#secrets .notice-good").waitFor(PATIENCE);
  await page.goto("/deploy");
  const hint = page.locator("#deploy-cigar .deploy-hints li", { hasText: "secrets" });
  await hint.waitFor(PATIENCE);
  await screenshot(page, "deploy-stale");
  await hint.getByRole("link", { name: "Deliver" }).click();
  await page.waitForURL(/\/plan/);
  await page.locator(".plan-changes", { hasText: "secrets" }).waitFor(PATIENCE);
  await examine(page, "app-plan");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.waitForURL(/\/deployments\//, PATIENCE);
  await mustEnd(page, "Succeeded");
  await page.goto("/deploy");
  await page.locator("#deploy-cigar .deploy-commit").waitFor(PATIENCE);
  expect((await hint.count()) === 0, "it is said to have old secrets still");
}

async function seeWhyItFails(page) {
  await deployAnotherBranch(page, "broken");
  await mustEnd(page, "Failed");
  const failure = page.locator(".failure");
  await failure.getByText("Nothing live was touched.").waitFor();
  await failure.getByText("the cabinet is locked").first().waitFor(PATIENCE);
  expect((await page.locator(".step-failed").count()) === 1, "one step failed");
  await examine(page, "deployment-failed");
  await page.goto("/");
  await page.locator("#app-cigar").getByText("Running").waitFor(PATIENCE);
}

async function goBack(page) {
  await page.goto("/apps/cigar");
  const back = page.getByRole("link", { name: "Roll back to it…" }).last();
  await back.click();
  await page.waitForURL(/\/rollback\?release=/);
  await page.getByRole("heading", { name: /^Back to/ }).waitFor(PATIENCE);
  await examine(page, "app-rollback");
  await page.getByRole("button", { name: "Roll back cigar" }).click();
  await page.waitForURL(/\/deployments\//, PATIENCE);
  await mustEnd(page, "Succeeded");
}

async function meetWhileEditing(page, context) {
  await page.goto("/apps/cigar/settings");
  const other = await context.newPage();
  await other.goto("/apps/cigar/settings");
  await other.getByLabel("Workers").fill("2");
  await other.getByLabel("Releases kept").evaluate((field) => field.closest("details").setAttribute("open", ""));
  await other.getByLabel("Releases kept").fill("7");
  await other.getByRole("button", { name: "Save" }).click();
  await other.getByText("The settings are saved.").waitFor(PATIENCE);
  await other.close();
  await page.getByLabel("Workers").fill("1");
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("The Cigar");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".field-theirs", { hasText: "Somebody made it: 2" }).waitFor(PATIENCE);
  expect((await page.getByLabel("Workers").inputValue()) === "1", "mine is lost");
  expect((await page.locator("#s-keep_releases").inputValue()) === "7", "theirs is lost");
  await examine(page, "app-settings-conflict");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The settings are saved.").waitFor(PATIENCE);
  await page.goto("/apps/cigar/settings");
  expect((await page.getByRole("textbox", { name: "Name", exact: true }).inputValue()) === "The Cigar", "it was not saved");
}

/** The same without scripts: forms, redirects, reloads. */
async function workWithoutScripts(page, context) {
  const plain = await context.browser().newContext({
    baseURL: setting("HMS_URL"),
    ignoreHTTPSErrors: true,
    javaScriptEnabled: false,
    storageState: await context.storageState(),
  });
  const still = await plain.newPage();
  await still.goto("/deploy");
  await still.locator("#deploy-cigar").getByRole("button", { name: "Deploy main of cigar" }).click();
  await still.waitForURL(/\/deployments\//, PATIENCE);
  const url = still.url();
  await screenshot(still, "deployment-without-scripts");
  await still.getByRole("button", { name: "Cancel" }).click();
  await still.waitForURL(url, PATIENCE);
  await page.goto(url);
  await mustEnd(page, "Canceled");
  await still.reload();
  await still.locator(".run-sum").getByText("Canceled").waitFor();
  await still.goto("/apps/cigar/secrets");
  await still.locator("#secret-SMTP_PASSWORD summary").click();
  await still.locator("#secret-SMTP_PASSWORD").getByLabel("Your password").fill(setting("HMS_PASSWORD"));
  await still.getByRole("button", { name: "Reveal SMTP_PASSWORD" }).click();
  await still.locator("#secret-SMTP_PASSWORD").getByText(SECRET).waitFor(PATIENCE);
  await plain.close();
}

async function takeItAway(page) {
  await page.goto("/apps/cigar");
  await page.getByRole("link", { name: "Remove this app…" }).click();
  await page.getByLabel("Type cigar to remove it").fill("cigars");
  await page.getByRole("button", { name: "Remove cigar" }).click();
  await page.getByText("was not removed: what you typed is not its key").waitFor(PATIENCE);
  await examine(page, "app-remove");
  await page.getByLabel("And delete its data").check();
  await page.getByLabel("Type cigar to remove it").fill("cigar");
  await page.getByRole("button", { name: "Remove cigar" }).click();
  await page.waitForURL(/\/deployments\//, PATIENCE);
  await mustEnd(page, "Succeeded");
  await page.goto("/deploy");
  await page.getByText("No app yet").waitFor(PATIENCE);
  const kept = await page.locator("table.deployments tbody tr").count();
  expect(kept >= 6, `its history is gone: ${kept} deployments are left`);
}

const STEPS = {
  logIn: (page) => logIn(page),
  beginWithNothing,
  addTheApp,
  giveItSecrets,
  revealOne,
  deployIt,
  seeItEverywhere,
  deployNext: async (page) => {
    await deployAnotherBranch(page, "next");
    await mustEnd(page, "Succeeded");
  },
  deliverSecrets,
  seeWhyItFails,
  goBack,
  meetWhileEditing,
  workWithoutScripts,
  takeItAway,
};

await withPage((page, context) => inOrder(STEPS, page, context));
