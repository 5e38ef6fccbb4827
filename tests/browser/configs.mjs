// Editing nginx: a mistake is marked, the text is tested, compared, applied, kept, and brought back; somebody else is faster once.

import { examine, expect, logIn, onHost, withPage } from "./lib.mjs";

const PATIENCE = { timeout: 60_000 };
const SITE = "/configs/asterra/sites-available/cigar";

const text = (page) => page.locator(".cm-content");
const says = (page, words) => page.locator("[data-editor-state]").getByText(words).waitFor(PATIENCE);
const live = () => onHost("asterra", "cat", "/etc/nginx/sites-available/cigar");

/** Types at the end of the line that has these words. */
async function typeAfter(page, words, typed) {
  await text(page).locator(".cm-line", { hasText: words }).first().click();
  await page.keyboard.press("End");
  await page.keyboard.type(typed);
  await page.keyboard.press("Escape");
}

async function seeTheList(page) {
  await page.goto("/configs");
  await page.locator("[id='config-sites-available~2fcigar']").getByText("enabled", { exact: true }).waitFor(PATIENCE);
  await examine(page, "configs");
  await page.getByLabel("Address").fill("http://cigar.test/posts");
  await page.getByRole("button", { name: "Find" }).click();
  await page.locator(".route").getByText("proxy_pass http://cigar").waitFor(PATIENCE);
}

async function aMistakeIsMarked(page) {
  await page.goto(SITE);
  await says(page, "As on the host");
  await examine(page, "config");
  await typeAfter(page, "server_name", "\nproxy_passs http://cigar;");
  await page.locator(".cm-lint-marker-error").first().waitFor(PATIENCE);
  await page.locator("#config-problems").getByText("proxy_passs").first().waitFor(PATIENCE);
  await examine(page, "config-mistake");
  const before = await live();
  expect(!before.includes("proxy_passs"), "a text that was only tested is on the host");
}

async function applied(page, reason, confirm) {
  await page.keyboard.press("Control+s");
  const question = page.getByRole("dialog", { name: "Apply to asterra?" });
  await question.getByLabel("Why").fill(reason);
  await question.getByLabel("Confirming").selectOption(confirm);
  await question.locator(".cm-changedLine, .cm-deletedChunk:not(:empty)").first().waitFor();
  return question;
}

async function testCompareApplyKeep(page) {
  await text(page).locator(".cm-line", { hasText: "proxy_passs" }).click();
  await page.keyboard.press("Home");
  await page.keyboard.press("Shift+End");
  await page.keyboard.type("client_max_body_size 50m;");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+Enter");
  await page.locator("#config-problems").getByText("nginx takes this text.").waitFor(PATIENCE);
  const question = await applied(page, "larger uploads", "300");
  await examine(page, "config-review");
  await question.getByRole("button", { name: "Apply" }).click();
  await page.locator("#config-result").getByText("Applied sites-available/cigar").waitFor(PATIENCE);
  await page.locator("#config-result .steps").getByText("reload").waitFor();
  expect((await live()).includes("client_max_body_size 50m;"), "what was applied is not on the host");
  // What waits survives a new look at the page.
  await page.reload();
  await page.locator("#config-pending").getByText(/live, and waits/).waitFor(PATIENCE);
  await examine(page, "config-pending");
  await page.getByRole("button", { name: "Keep it" }).click();
  await page.locator("#config-pending .config-pending").waitFor({ state: "detached", ...PATIENCE });
  await page.reload();
  await page.locator("#config-history").getByText("larger uploads").waitFor(PATIENCE);
}

async function somebodyElseIsFaster(page) {
  await typeAfter(page, "client_max_body_size", "\nkeepalive_timeout 20s;");
  const theirs = (await live()).replace(/}\s*$/, "    server_tokens off;\n}\n");
  await onHost("asterra", "sh", "-c", 'printf "%s" "$1" > /etc/nginx/sites-available/cigar', "sh", theirs);
  await page.keyboard.press("Control+s");
  const result = page.locator("#config-result");
  await result.getByText("Somebody else was faster").waitFor(PATIENCE);
  await examine(page, "config-conflict");
  await result.getByRole("button", { name: "Take both changes" }).click();
  const question = await applied(page, "both", "0");
  await question.getByRole("button", { name: "Apply" }).click();
  await result.getByText("Applied sites-available/cigar").waitFor(PATIENCE);
  const both = await live();
  expect(both.includes("keepalive_timeout 20s;") && both.includes("server_tokens off;"), `one change was lost:\n${both}`);
}

async function bringBack(page) {
  await page.reload();
  await page.locator("#config-history a", { hasText: "larger uploads" }).or(page.locator("#config-history li", { hasText: "larger uploads" }).locator("a")).first().click();
  await page.locator(".diff-add", { hasText: "client_max_body_size 50m;" }).waitFor(PATIENCE);
  await examine(page, "config-version");
  await page.getByRole("link", { name: "Restore…" }).click();
  await says(page, /Not applied yet/);
  const question = await applied(page, "back to before", "0");
  await question.getByRole("button", { name: "Apply" }).click();
  await page.locator("#config-result").getByText("Applied sites-available/cigar").waitFor(PATIENCE);
  const back = await live();
  expect(back.includes("50m") && !back.includes("server_tokens"), `this is not the version that was asked for:\n${back}`);
}

async function anEditOnTheHostIsFoundAndPutBack(page) {
  await onHost("asterra", "sh", "-c", "echo '# by hand' >> /etc/nginx/sites-available/cigar");
  await page.goto("/configs");
  const drift = page.locator("[id='drift-sites-available~2fcigar']");
  await drift.getByText("changed", { exact: true }).waitFor({ timeout: 90_000 });
  await examine(page, "configs-drift");
  await page.goto("/");
  await page.locator("#attention").getByText("An nginx file on asterra was changed outside HMS").waitFor(PATIENCE);
  await page.goto("/configs");
  await drift.getByRole("button", { name: "Put back" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Put back" }).click();
  await page.locator("#config-result").getByText("Put sites-available/cigar back").waitFor(PATIENCE);
  expect(!(await live()).includes("by hand"), "the edit is still there");
}

await withPage(async (page) => {
  await logIn(page);
  await seeTheList(page);
  await aMistakeIsMarked(page);
  await testCompareApplyKeep(page);
  await somebodyElseIsFaster(page);
  await bringBack(page);
  await anEditOnTheHostIsFoundAndPutBack(page);
});
