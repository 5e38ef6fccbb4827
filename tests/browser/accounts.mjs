// People: invited, with a second factor, with a token, limited, locked out while they look and let in again, with a new password, and
// taken away; also without scripts.

import { request } from "playwright-core";
import {
  logInWithARecoveryCode,
  logInWithTwoFactors,
  makeNewCodesAfterAConfirmationByCode,
  switchItOffAndOnAgain,
  switchTheSecondFactorOn,
} from "./factor.mjs";
import { examine, expect, inOrder, logIn, setting, withPage } from "./lib.mjs";
import { NEW_PASSWORD, PASSWORD, PATIENCE, another, live, makeLoginsOld, maria, typeCode, typeLogin } from "./people.mjs";

/** Whether a machine with this token is let in, and what it sees. */
async function asMachine(token) {
  const machine = await request.newContext({ baseURL: setting("HMS_URL"), ignoreHTTPSErrors: true });
  const answer = await machine.get("/api/apps", { headers: { authorization: `Bearer ${token}` } });
  const text = await answer.text();
  await machine.dispose();
  return { status: answer.status(), text };
}

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
  maria.page = await another(page);
  await maria.page.goto(link.pathname + link.hash);
  await maria.page.waitForFunction(() => location.hash === "");
  expect((await maria.page.getByLabel("Invitation code").inputValue()) === link.hash.slice(1), "the code is not in its field");
  await maria.page.getByLabel("New password").fill("short");
  await maria.page.getByText("(5 so far)").waitFor();
  await maria.page.getByLabel("Once more").fill("short");
  await maria.page.getByRole("button", { name: "Set password" }).click();
  await maria.page.getByRole("alert").getByText("at least 15").waitFor();
  await examine(maria.page, "invitation");
  await maria.page.getByLabel("New password").fill(PASSWORD);
  await maria.page.getByLabel("Once more").fill(PASSWORD);
  await maria.page.locator("[data-rule=same][data-kept=yes]").waitFor();
  await maria.page.getByRole("button", { name: "Set password" }).click();
  await maria.page.locator("#app-cigar").waitFor(PATIENCE);
}

async function makeUseAndRevokeAToken() {
  await maria.page.goto("/settings/tokens/new");
  expect(!(await maria.page.getByLabel("admin", { exact: false }).count()), "an operator is offered the role admin");
  await maria.page.getByLabel("What it is for").fill("a wall display");
  await maria.page.getByRole("button", { name: "Make the token" }).click();
  const shown = maria.page.locator("#add-token [data-secret]");
  await shown.waitFor();
  const token = await shown.innerText();
  await examine(maria.page, "token");
  const seen = await asMachine(token);
  expect(seen.status === 200 && seen.text.includes("cigar"), `${seen.status}: ${seen.text}`);
  await maria.page.goto("/settings");
  const row = maria.page.locator("#token-list tr").filter({ hasText: "a wall display" });
  expect(!(await maria.page.content()).includes(token), "the token is shown again");
  await examine(maria.page, "account");
  await row.getByRole("button", { name: "Revoke" }).click();
  await maria.page.getByRole("dialog").getByRole("button", { name: "Revoke it" }).click();
  await maria.page.getByRole("heading", { name: "No API token" }).waitFor();
  expect((await asMachine(token)).status === 401, "a revoked token is taken");
}

async function lowerARoleWhileThePageIsOpen(page) {
  await maria.page.goto("/");
  await live(maria.page);
  await maria.page.locator("#app-cigar").getByRole("button", { name: "Restart" }).waitFor();
  await page.goto("/settings/users/maria");
  await examine(page, "user");
  await page.getByLabel("viewer").check();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved. It holds for maria from now on.").waitFor();
  await maria.page.locator("#app-cigar").getByRole("button", { name: "Restart" }).waitFor({ state: "detached", ...PATIENCE });
  await maria.page.locator("#app-cigar").waitFor();
}

async function lockOutWhoeverIsLooking(page) {
  await page.getByRole("button", { name: "Disable" }).click();
  const question = page.getByRole("dialog", { name: "Lock maria out?" });
  await question.getByText("One session ends at once.").waitFor();
  await question.getByRole("button", { name: "Lock out" }).click();
  await page.getByText("maria is locked out.").waitFor();
  await maria.page.getByText("Your session has ended.").waitFor(PATIENCE);
  await typeLogin(maria.page, "maria", PASSWORD);
  await maria.page.getByText("User name or password is wrong.").waitFor();
  await page.goto("/settings/users");
  await page.getByRole("row").filter({ hasText: "maria" }).getByText("disabled").waitFor();
  await examine(page, "users");
}

async function letInAgain(page) {
  await page.getByRole("link", { name: "maria" }).click();
  await page.getByText("Let in again.").waitFor();
  await examine(page, "user-disabled");
  await page.getByRole("button", { name: "Enable" }).click();
  await page.getByText("maria can log in again.").waitFor();
  await page.getByRole("button", { name: "Disable" }).waitFor();
  await typeLogin(maria.page, "maria", PASSWORD);
  await typeCode(maria.page, maria.codes[0]);
  await maria.page.locator("#app-cigar").waitFor(PATIENCE);
  await live(maria.page);
}

async function resetAPasswordAndALostPhone(page) {
  await page.getByLabel("Forget the second factor, too").check();
  await page.getByRole("button", { name: "Reset" }).click();
  await page.getByRole("dialog", { name: "Reset the password of maria?" }).getByRole("button", { name: "Reset it" }).click();
  await page.getByRole("heading", { name: "A link for maria" }).waitFor();
  await examine(page, "user-reset");
  await maria.page.getByText("Your session has ended.").waitFor(PATIENCE);
  await typeLogin(maria.page, "maria", PASSWORD);
  await maria.page.getByText("User name or password is wrong.").waitFor();
  const link = new URL(await page.locator("#user [data-secret]").innerText());
  await maria.page.goto(link.pathname + link.hash);
  await maria.page.getByLabel("New password").fill(NEW_PASSWORD);
  await maria.page.getByLabel("Once more").fill(NEW_PASSWORD);
  await maria.page.getByRole("button", { name: "Set password" }).click();
  await maria.page.locator("#app-cigar").waitFor(PATIENCE);
  await maria.page.goto("/settings");
  await maria.page.locator("#second-factor").getByText("off", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Done" }).click();
  await page.getByRole("heading", { name: "A link for maria" }).waitFor({ state: "detached" });
  expect(!(await page.content()).includes(link.hash.slice(1)), "the link is shown again");
}

async function removeByName(page) {
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

async function sayHowLongToWait(page) {
  const stranger = await another(page);
  for (let tries = 0; tries < 10; tries += 1) {
    await stranger.request.post("/login", { form: { username: "nobody", password: "a guess" } });
  }
  await stranger.goto("/login");
  await typeLogin(stranger, "nobody", "one more guess");
  await stranger.getByRole("alert").getByText(/^Too many attempts\. Try again in \d+ s\.$/).waitFor();
  await examine(stranger, "login-throttled");
  await stranger.goto("/logout");
  await stranger.getByText("Go back and use the button of the page.").waitFor();
  await stranger.context().close();
}

await withPage((page, context) =>
  inOrder(
    {
      inviteAfterAConfirmation,
      acceptWithTheCodeOutOfTheAddress,
      switchTheSecondFactorOn,
      logInWithTwoFactors,
      makeNewCodesAfterAConfirmationByCode,
      logInWithARecoveryCode,
      switchItOffAndOnAgain,
      makeUseAndRevokeAToken,
      lowerARoleWhileThePageIsOpen,
      lockOutWhoeverIsLooking,
      letInAgain,
      resetAPasswordAndALostPhone,
      removeByName,
      readTheReference,
      goWithoutScripts,
      sayHowLongToWait,
    },
    page,
    context,
  ),
);
