// The logs: live, searched, unfolded, narrowed, brushed, very long, over a break, on a phone, and without scripts.

import { request } from "node:http";
import { examine, expect, inOrder, logIn, onHost, withPage } from "./lib.mjs";

const PATIENCE = { timeout: 60_000 };

/** Visits the Rails app through nginx, whatever becomes of it. */
function visit(path) {
  const options = { host: "127.0.0.1", path, headers: { host: "cigar.test" } };
  return new Promise((done) => {
    const sent = request(options, (answer) => answer.resume().on("end", done));
    sent.on("error", done).end();
  });
}

const live = (page) => page.locator("#live[data-state=live]").waitFor(PATIENCE);
const rows = (page) => page.locator("#log-rows");
const say = (text, severity = "info") => onHost("asterra", "logger", "-t", "shipyard", "-p", `user.${severity}`, "--", text);
const param = (page, name) => new URL(page.url()).searchParams.getAll(name);

async function openEverything(page) {
  for (let n = 0; n < 5; n += 1) await visit(`/log/harbour-${n}`);
  await page.goto("/logs");
  await live(page);
  await rows(page).getByText("harbour-4").first().waitFor(PATIENCE);
  await say("a line that comes by itself");
  await rows(page).getByText("a line that comes by itself").waitFor(PATIENCE);
  await page.locator("#log-histogram .log-chart").waitFor(PATIENCE);
  await examine(page, "logs-everything");
}

async function hostileLinesAreText(page) {
  await say("<img src=x onerror=alert(1)> \u001b[31mred\u001b[0m \u202ereversed");
  const row = rows(page).locator("li").filter({ hasText: "<img src=x" });
  await row.waitFor(PATIENCE);
  expect(!(await rows(page).locator("img").count()), "what was logged became part of the page");
  expect((await row.locator(".f1").innerText()) === "red", "the colour is lost");
  expect((await row.innerText()).includes("202E"), "what turns the direction is not shown");
}

async function stopReadingAndCatchUp(page) {
  const lines = Array.from({ length: 80 }, (_, n) => `filler ${n}`).join("\n");
  await onHost("asterra", "bash", "-c", `printf '%s\\n' "$0" | systemd-cat -t shipyard`, lines);
  await rows(page).getByText("filler 79", { exact: true }).waitFor(PATIENCE);
  await page.locator("[data-log-box]").evaluate((box) => box.scrollBy(0, -600));
  const pill = page.locator("[data-newest]");
  await pill.waitFor(PATIENCE);
  await say("came while somebody read");
  await pill.getByText(/new line/).waitFor(PATIENCE);
  await pill.click();
  await pill.waitFor({ state: "hidden" });
  await rows(page).getByText("came while somebody read").waitFor(PATIENCE);
  await page.locator("body").press("f");
  await pill.waitFor(PATIENCE);
  await page.locator("body").press("f");
  await pill.waitFor({ state: "hidden" });
}

async function findWithKeys(page) {
  await page.locator("body").press("/");
  await page.keyboard.type("filler 7[0-9]$");
  await page.locator("[data-found]").getByText("10 here").waitFor(PATIENCE);
  await page.keyboard.press("Escape");
  for (const word of ["1 of 10", "2 of 10"]) {
    await page.keyboard.press("n");
    await page.locator("[data-found]").getByText(word).waitFor(PATIENCE);
  }
  await page.keyboard.press("N");
  await page.locator("[data-found]").getByText("1 of 10").waitFor(PATIENCE);
  await page.keyboard.press("?");
  await page.locator("#keys").getByText("Fields of the line").waitFor();
  await page.keyboard.press("Escape");
}

async function unfoldAndNarrow(page) {
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  const fields = rows(page).locator(".log-fields");
  await fields.getByText("SYSLOG_IDENTIFIER", { exact: true }).waitFor(PATIENCE);
  await examine(page, "logs-fields");
  await fields.getByLabel("Only lines with this identifier").click();
  await page.waitForURL(/where=identifier/);
  expect(param(page, "where").join() === "identifier=shipyard", `narrowed by ${param(page, "where")}`);
  await live(page);
  const units = await rows(page).locator(".log-unit").allInnerTexts();
  expect(units.length > 50 && units.every((unit) => unit.includes("shipyard") || unit.includes("session") || unit === ""), `${units}`);
  await page.getByLabel("Without identifier=shipyard").click();
  await page.waitForURL((url) => !url.search.includes("where"));
}

async function keepWhatMatches(page) {
  await page.goto("/logs?host=asterra");
  await page.getByLabel("Search").fill("filler 3[0-4]$");
  await page.getByLabel("Search").press("Enter");
  await page.waitForURL(/grep=filler/);
  const texts = await rows(page).locator(".log-message").allTextContents();
  expect(texts.length === 5 && texts.every((text) => /filler 3[0-4]$/.test(text)), `found ${texts.join("\n")}`);
  await page.goto("/logs?grep=(unclosed");
  await page.getByRole("alert").waitFor();
  expect((await page.getByLabel("Search").inputValue()) === "(unclosed", "what was typed is gone");
}

async function seeRequests(page) {
  await visit("/nowhere");
  await page.goto("/logs?app=cigar&source=access");
  await live(page);
  const row = rows(page).locator("li").filter({ hasText: "/nowhere" });
  await row.waitFor(PATIENCE);
  expect((await row.locator(".log-status").innerText()) === "404", "the status is not shown");
  await page.getByLabel("Condition").fill("status>=400");
  await page.getByLabel("Condition").press("Enter");
  await page.waitForURL(/where=status/);
  const statuses = await rows(page).locator(".log-status").allInnerTexts();
  expect(statuses.length > 0 && statuses.every((status) => Number(status) >= 400), `statuses ${statuses}`);
}

async function brushWithKeys(page) {
  await page.goto("/logs?since=1+h");
  const chart = page.locator(".log-chart");
  await chart.waitFor(PATIENCE);
  await chart.focus();
  await page.keyboard.press("End");
  await page.keyboard.press("Shift+ArrowLeft");
  await page.keyboard.press("Shift+ArrowLeft");
  await page.keyboard.press("Enter");
  await page.waitForURL(/until=/);
  const [since, until] = [param(page, "since")[0], param(page, "until")[0]].map(Date.parse);
  expect(until - since > 80_000 && until - since < 100_000, `three of 120 parts of an hour are ${until - since} ms`);
  await rows(page).locator("li").first().waitFor(PATIENCE);
}

/** What is changed while somebody looks stands between the lines and on the time line, once, and so it does later. */
async function seeWhatChanged(page, context) {
  await page.goto("/logs?app=cigar&since=15+min");
  await live(page);
  await page.locator(".log-chart").waitFor(PATIENCE);
  const marks = rows(page).locator(".log-mark").filter({ hasText: "admin: restart puma-cigar.service" });
  const ticks = () => page.locator(".log-tick").count();
  const before = [await marks.count(), await ticks()];
  const other = await context.newPage();
  await other.goto("/");
  const app = other.locator("#app-cigar");
  await app.getByRole("button", { name: "Restart" }).click();
  await app.getByText(/Restarted in/).waitFor(PATIENCE);
  await other.close();
  await marks.nth(before[0]).getByText("ok", { exact: true }).waitFor(PATIENCE);
  await visit("/log/after-the-restart");
  await rows(page).getByText("after-the-restart").first().waitFor(PATIENCE);
  await page.locator(".log-tick").nth(before[1]).waitFor({ state: "attached", ...PATIENCE });
  const texts = await rows(page).locator("li").allTextContents();
  const at = (words) => texts.findLastIndex((text) => text.includes(words));
  const [mark, line] = [at("admin: restart puma-cigar.service"), at("after-the-restart")];
  expect(mark >= 0 && mark < line, `the change is row ${mark}, a line from later row ${line}`);
  expect((await marks.count()) === before[0] + 1, `${await marks.count()} marks after ${before[0]} and a restart`);
  await examine(page, "logs-changes");
  await page.reload();
  await live(page);
  await marks.nth(before[0]).waitFor(PATIENCE);
  expect((await marks.count()) === before[0] + 1, "a change that is loaded is told again");
}

/** Over a break of the agent every line comes once, and the break is seen. */
async function surviveABreak(page) {
  await page.goto("/logs?host=asterra&where=identifier%3Dtide");
  await live(page);
  const write = (from, to) =>
    onHost("asterra", "bash", "-c", "for n in $(seq $0 $1); do echo tide-$n; done | systemd-cat -t tide", String(from), String(to));
  await write(1, 20);
  await rows(page).getByText("tide-20", { exact: true }).waitFor(PATIENCE);
  await onHost("asterra", "systemctl", "stop", "hms-agent.service");
  await rows(page).locator(".log-away").first().waitFor(PATIENCE);
  await write(21, 40);
  await onHost("asterra", "systemctl", "start", "hms-agent.service");
  await rows(page).getByText("tide-40", { exact: true }).waitFor(PATIENCE);
  await write(41, 60);
  await rows(page).getByText("tide-60", { exact: true }).waitFor(PATIENCE);
  const seen = (await rows(page).locator(".log-message").allTextContents()).flatMap((text) => /^tide-(\d+)$/.exec(text)?.[1] ?? []);
  const wanted = Array.from({ length: 60 }, (_, n) => String(n + 1));
  expect(seen.join() === wanted.join(), `not each line once and in order: ${seen.join()}`);
}

/** However many rows there are, the page has those that are looked at. */
async function holdVeryMany(page) {
  await page.goto("/logs?host=asterra");
  await live(page);
  const counts = await page.evaluate(async () => {
    const row = (n) => ({
      t: 1_800_000_000_000_000 + n,
      p: 6,
      k: `asterra s=${n.toString(16)}`,
      h: `<li class="log-row log-info"><time>00:00:00.000</time><span class="log-severity">info</span><span class="log-host">asterra</span><span class="log-unit">many</span><span class="log-message">row ${n}</span></li>`,
    });
    const most = [];
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    for (let part = 0; part < 20; part += 1) {
      const detail = JSON.stringify({ rows: Array.from({ length: 5000 }, (_, n) => row(part * 5000 + n)) });
      document.dispatchEvent(new CustomEvent("hms:lines", { detail }));
      most.push(document.querySelectorAll("#log-rows li").length);
    }
    const box = document.querySelector("[data-log-box]");
    for (let part = 0; part < 10; part += 1) {
      box.scrollTop = (box.scrollHeight * part) / 10;
      await frame();
      await frame();
      most.push(document.querySelectorAll("#log-rows li").length);
    }
    return { most: Math.max(...most), shown: Number(document.querySelector("[data-log-count]").textContent), height: box.scrollHeight };
  });
  expect(counts.most < 500, `${counts.most} rows are in the page at once`);
  expect(counts.shown > 90_000 && counts.shown <= 100_000, `${counts.shown} rows are kept`);
  expect(counts.height > 1_500_000, `the box is ${counts.height} px high`);
}

async function readWithoutScripts(page, context) {
  const state = await context.storageState();
  const plain = await context.browser().newContext({
    storageState: state,
    javaScriptEnabled: false,
    ignoreHTTPSErrors: true,
    baseURL: process.env.HMS_URL,
  });
  try {
    const still = await plain.newPage();
    await still.goto("/logs?host=asterra&lines=20");
    const read = () => still.locator("#log-rows .log-row").allTextContents();
    const newest = await read();
    expect(newest.length === 20, `${newest.length} rows without scripts`);
    await still.getByRole("link", { name: "Earlier lines" }).click();
    const earlier = await read();
    expect(earlier.length === 20 && !earlier.some((row) => newest.includes(row)), "the earlier page is no other one");
    await still.getByRole("link", { name: "Later lines" }).click();
    const later = await read();
    expect(later.some((row) => newest.includes(row)), "the way back does not lead back");
    await still.locator("#log-rows .log-time").first().click();
    await still.waitForURL(/around=/);
    expect((await read()).length > 20, "nothing surrounds a line");
  } finally {
    await plain.close();
  }
}

const STEPS = {
  openEverything,
  hostileLinesAreText,
  stopReadingAndCatchUp,
  findWithKeys,
  unfoldAndNarrow,
  keepWhatMatches,
  seeRequests,
  brushWithKeys,
  seeWhatChanged,
  surviveABreak,
  holdVeryMany,
  readWithoutScripts,
};

await withPage(async (page, context) => {
  await logIn(page);
  await inOrder(STEPS, page, context);
});
