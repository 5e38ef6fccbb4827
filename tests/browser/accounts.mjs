// People: invited, with a second factor, with a token, limited, locked out while they look, and taken away; also without scripts.

import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { request } from "playwright-core";
import { examine, expect, inOrder, logIn, onHost, setting, withPage } from "./lib.mjs";

const PATIENCE = { timeout: 60_000 };
const PASSWORD = "seven small grey stones";

const live = (page) => page.locator("#live[data-state=live]").waitFor(PATIENCE);

/** A login of some time ago is not enough for what asks for a confirmation. */
const makeLoginsOld = () => {
  const earlier = "UPDATE sessions SET confirmed_at = now() - INTERVAL '1 hour'";
  return onHost(setting("HMS_CONTROLLER"), "runuser", "-u", "postgres", "--", "psql", "-qc", earlier, "hosting_production");
};

/** A code of an authenticator (RFC 6238), of this half minute or one after it. */
function code(secret, later = 0) {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
  const hash = createHmac("sha1", key).update(counter).digest();
  const number = hash.readUInt32BE(hash[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

/** Somebody else's browser. */
async function another(page, options = {}) {
  const own = { baseURL: setting("HMS_URL"), ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 } };
  const context = await page.context().browser().newContext({ ...own, ...options });
  context.setDefaultTimeout(20_000);
  return context.newPage();
}

/** Whether a machine with this token is let in, and what it sees. */
async function asMachine(token) {
  const machine = await request.newContext({ baseURL: setting("HMS_URL"), ignoreHTTPSErrors: true });
  const answer = await machine.get("/api/apps", { headers: { authorization: `Bearer ${token}` } });
  const text = await answer.text();
  await machine.dispose();
  return { status: answer.status(), text };
}

let maria;
let secret;

async function inviteAfterAConfirmation(page) {
  await logIn(page);
  await page.goto("/settings/users");
  await page.getByText("Nobody but you").waitFor();
  await page.getByRole("link", { name: "Invite somebody" }).first().click();
  await page.getByLabel("User name").fill("maria");
  await page.getByLabel("operator").check();
  await page.getByLabel("Only some").check();
  await page.getByRole("checkbox", { name: "cigar" }).check();
  await examine(page, "invite");
  await makeLoginsOld();
  await page.getByRole("button", { name: "Make the invitation" }).click();
  const question = page.getByRole("dialog", { name: "Confirm that it is you" });
  await question.getByLabel("Your password").fill("not the password");
  await question.getByRole("button", { name: "Confirm" }).click();
  await question.getByRole("alert").getByText("The password is wrong.").waitFor();
  await question.getByLabel("Your password").fill(setting("HMS_PASSWORD"));
  await question.getByRole("button", { name: "Confirm" }).click();
  await page.getByRole("heading", { name: "maria is invited" }).waitFor();
  await examine(page, "invited");
}

async function acceptWithTheCodeOutOfTheAddress(page) {
  const link = new URL(await page.locator("#invite [data-secret]").innerText());
  expect(link.hash.length > 20, "the code is not behind the #");
  maria = await another(page);
  await maria.goto(link.pathname + link.hash);
  await maria.waitForFunction(() => location.hash === "");
  expect((await maria.getByLabel("Invitation code").inputValue()) === link.hash.slice(1), "the code is not in its field");
  await maria.getByLabel("New password").fill("short");
  await maria.getByText("(5 so far)").waitFor();
  await maria.getByLabel("Once more").fill("short");
  await maria.getByRole("button", { name: "Set password" }).click();
  await maria.getByRole("alert").getByText("at least 15").waitFor();
  await examine(maria, "invitation");
  await maria.getByLabel("New password").fill(PASSWORD);
  await maria.getByLabel("Once more").fill(PASSWORD);
  await maria.locator("[data-rule=same][data-kept=yes]").waitFor();
  await maria.getByRole("button", { name: "Set password" }).click();
  await maria.locator("#app-cigar").waitFor(PATIENCE);
}

async function switchTheSecondFactorOn() {
  await maria.goto("/settings");
  await live(maria);
  await maria.getByRole("button", { name: "Set up" }).click();
  await maria.getByRole("img", { name: /QR code/ }).waitFor();
  secret = (await maria.locator("#second-factor pre").innerText()).replaceAll(" ", "");
  await examine(maria, "second-factor");
  await maria.getByLabel("Type the code").fill(code(secret, 40));
  await maria.getByRole("button", { name: "Switch on" }).click();
  await maria.locator("#second-factor").getByRole("alert").waitFor();
  await maria.getByLabel("Type the code").fill(code(secret));
  await maria.getByRole("button", { name: "Switch on" }).click();
  const codes = maria.locator("[data-codes]");
  await codes.waitFor();
  const shown = (await codes.textContent()).trim().split("\n");
  expect(new Set(shown).size === 10, `${shown.length} codes`);
  const [file] = await Promise.all([maria.waitForEvent("download"), maria.getByRole("button", { name: "Download" }).click()]);
  expect((await readFile(await file.path(), "utf8")).trim() === shown.join("\n"), "the file has other codes");
  await examine(maria, "recovery-codes");
}

async function logInWithTwoFactors() {
  await maria.locator(".menu summary").click();
  await maria.getByRole("button", { name: "Log out", exact: true }).click();
  await maria.waitForURL(/\/login/);
  await maria.getByLabel("User name").fill("maria");
  await maria.getByLabel("Password").fill(PASSWORD);
  await maria.getByRole("button", { name: "Log in" }).click();
  await maria.getByLabel("Code").fill(code(secret, 40));
  await maria.getByRole("button", { name: "Log in" }).click();
  await maria.getByRole("alert").waitFor();
  await examine(maria, "login-code");
  // The one of this half minute may be used up: each is good once.
  await maria.getByLabel("Code").fill(code(secret, 1));
  await maria.getByRole("button", { name: "Log in" }).click();
  await maria.locator("#app-cigar").waitFor(PATIENCE);
}

async function makeUseAndRevokeAToken() {
  await maria.goto("/settings/tokens/new");
  expect(!(await maria.getByLabel("admin", { exact: false }).count()), "an operator is offered the role admin");
  await maria.getByLabel("What it is for").fill("a wall display");
  await maria.getByRole("button", { name: "Make the token" }).click();
  const shown = maria.locator("#add-token [data-secret]");
  await shown.waitFor();
  const token = await shown.innerText();
  await examine(maria, "token");
  const seen = await asMachine(token);
  expect(seen.status === 200 && seen.text.includes("cigar"), `${seen.status}: ${seen.text}`);
  await maria.goto("/settings");
  const row = maria.locator("#token-list tr").filter({ hasText: "a wall display" });
  expect(!(await maria.content()).includes(token), "the token is shown again");
  await examine(maria, "account");
  await row.getByRole("button", { name: "Revoke" }).click();
  await maria.getByRole("dialog").getByRole("button", { name: "Revoke it" }).click();
  await maria.getByRole("heading", { name: "No API token" }).waitFor();
  expect((await asMachine(token)).status === 401, "a revoked token is taken");
}

async function lowerARoleWhileThePageIsOpen(page) {
  await maria.goto("/");
  await live(maria);
  await maria.locator("#app-cigar").getByRole("button", { name: "Restart" }).waitFor();
  await page.goto("/settings/users/maria");
  await examine(page, "user");
  await page.getByLabel("viewer").check();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved. It holds for maria from now on.").waitFor();
  await maria.locator("#app-cigar").getByRole("button", { name: "Restart" }).waitFor({ state: "detached", ...PATIENCE });
  await maria.locator("#app-cigar").waitFor();
}

async function lockOutWhoeverIsLooking(page) {
  await page.getByRole("button", { name: "Disable" }).click();
  const question = page.getByRole("dialog", { name: "Lock maria out?" });
  await question.getByText("One session ends at once.").waitFor();
  await question.getByRole("button", { name: "Lock out" }).click();
  await page.getByText("maria is locked out.").waitFor();
  await maria.getByText("Your session has ended.").waitFor(PATIENCE);
  await maria.getByLabel("User name").fill("maria");
  await maria.getByLabel("Password").fill(PASSWORD);
  await maria.getByRole("button", { name: "Log in" }).click();
  await maria.getByText("User name or password is wrong.").waitFor();
  await page.goto("/settings/users");
  await page.getByRole("row").filter({ hasText: "maria" }).getByText("disabled").waitFor();
  await examine(page, "users");
}

async function removeByName(page) {
  await page.getByRole("link", { name: "maria" }).click();
  await page.locator("#user summary").filter({ hasText: "Remove" }).click();
  await page.getByLabel("Type maria to remove it").fill("marie");
  await page.getByRole("button", { name: "Remove maria" }).click();
  await page.getByText("is not the name of the user").waitFor();
  await page.locator("#user summary").filter({ hasText: "Remove" }).click();
  await page.getByLabel("Type maria to remove it").fill("maria");
  await page.getByRole("button", { name: "Remove maria" }).click();
  await page.waitForURL(/\/settings\/users$/);
  await page.getByText("Nobody but you").waitFor();
}

async function readTheReference(page) {
  await page.goto("/settings/api");
  await examine(page, "api");
  await page.getByLabel("Search").fill("restart");
  await page.getByLabel("Search").press("Enter");
  await page.waitForURL(/q=restart/);
  await page.getByRole("link", { name: "/api/apps/{app}/restart" }).click();
  await page.getByRole("heading", { name: "/api/apps/{app}/restart" }).waitFor();
  await examine(page, "api-group");
}

async function goWithoutScripts(page) {
  const plain = await another(page, { javaScriptEnabled: false });
  await logIn(plain);
  await makeLoginsOld();
  await plain.goto("/settings/invite?username=jonas&role=viewer&on=some&app=cigar");
  await plain.getByRole("heading", { name: "Confirm that it is you" }).last().waitFor();
  await plain.getByLabel("Your password").fill(setting("HMS_PASSWORD"));
  await plain.getByRole("button", { name: "Confirm" }).click();
  await plain.waitForURL(/\/settings\/invite/);
  expect((await plain.getByLabel("User name").inputValue()) === "jonas", "what was typed is gone");
  await makeLoginsOld();
  await plain.getByRole("button", { name: "Make the invitation" }).click();
  await plain.getByLabel("Your password").fill(setting("HMS_PASSWORD"));
  await plain.getByRole("button", { name: "Confirm" }).click();
  expect(await plain.getByRole("checkbox", { name: "cigar" }).isChecked(), "what was picked is gone");
  await plain.getByRole("button", { name: "Make the invitation" }).click();
  await plain.getByRole("heading", { name: "jonas is invited" }).waitFor();
  await plain.context().close();
}

await withPage((page, context) =>
  inOrder(
    {
      inviteAfterAConfirmation,
      acceptWithTheCodeOutOfTheAddress,
      switchTheSecondFactorOn,
      logInWithTwoFactors,
      makeUseAndRevokeAToken,
      lowerARoleWhileThePageIsOpen,
      lockOutWhoeverIsLooking,
      removeByName,
      readTheReference,
      goWithoutScripts,
    },
    page,
    context,
  ),
);
