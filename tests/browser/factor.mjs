// A second factor in a browser: switched on, asked for, confirmed with, its recovery codes, off and on again.

import { readFile } from "node:fs/promises";
import { examine, expect } from "./lib.mjs";
import { PASSWORD, PATIENCE, code, forgetUsedCodes, live, logOut, makeLoginsOld, maria, typeCode, typeLogin } from "./people.mjs";

const part = () => maria.page.locator("#second-factor");

async function takeTheSecret() {
  await maria.page.getByRole("button", { name: "Set up" }).click();
  await maria.page.getByRole("img", { name: /QR code/ }).waitFor();
  maria.secret = (await part().locator("pre").innerText()).replaceAll(" ", "");
}

async function typeTheCodeOfIt(typed) {
  await maria.page.getByLabel("Type the code").fill(typed);
  await maria.page.getByRole("button", { name: "Switch on" }).click();
}

/** Ten codes, none of them one of before. */
async function takeTheCodes() {
  const shown = maria.page.locator("[data-codes]");
  await shown.waitFor();
  const codes = (await shown.textContent()).trim().split("\n");
  expect(new Set([...codes, ...maria.codes]).size === 10 + maria.codes.length, "not ten new codes");
  return codes;
}

export async function switchTheSecondFactorOn() {
  const { page } = maria;
  await page.goto("/settings");
  await live(page);
  await takeTheSecret();
  await examine(page, "second-factor");
  await typeTheCodeOfIt(code(maria.secret, 40));
  await part().getByRole("alert").waitFor();
  await typeTheCodeOfIt(code(maria.secret));
  maria.codes = await takeTheCodes();
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
  expect((await readFile(await file.path(), "utf8")).trim() === maria.codes.join("\n"), "the file has other codes");
  await examine(page, "recovery-codes");
}

export async function logInWithTwoFactors() {
  const { page } = maria;
  await logOut(page);
  await typeLogin(page, "maria", PASSWORD);
  await typeCode(page, code(maria.secret, 40));
  await page.getByRole("alert").getByText("Wait for the next one, or use a recovery code.").waitFor();
  await examine(page, "login-code");
  // The one of this half minute may be used up: each is good once.
  await typeCode(page, code(maria.secret, 1));
  await page.locator("#app-cigar").waitFor(PATIENCE);
}

export async function makeNewCodesAfterAConfirmationByCode() {
  const { page } = maria;
  await page.goto("/settings");
  await makeLoginsOld("maria");
  await forgetUsedCodes();
  await page.getByRole("button", { name: "New recovery codes" }).click();
  await page.getByRole("button", { name: "Make new ones" }).click();
  const question = page.getByRole("dialog", { name: "Confirm that it is you" });
  const field = question.getByLabel("or a code of your authenticator");
  await field.fill(code(maria.secret, 40));
  await question.getByRole("button", { name: "Confirm" }).click();
  await question.getByRole("alert").getByText("or use your password").waitFor();
  expect(await field.evaluate((input) => input === document.activeElement), "the next code would be typed as a password");
  await examine(page, "confirm-code");
  await field.fill(code(maria.secret));
  await question.getByRole("button", { name: "Confirm" }).click();
  maria.void = maria.codes[0];
  maria.codes = await takeTheCodes();
}

export async function logInWithARecoveryCode() {
  const { page } = maria;
  await logOut(page);
  await typeLogin(page, "maria", PASSWORD);
  await typeCode(page, maria.void);
  await page.getByRole("alert").getByText("That code is wrong, or was used before.").waitFor();
  // As somebody types it who reads it from paper.
  await typeCode(page, ` ${maria.codes.shift().toUpperCase().replace("-", " ")}`);
  await page.locator("#app-cigar").waitFor(PATIENCE);
  await page.goto("/settings");
  await part().getByText("9 recovery codes are left.").waitFor();
}

export async function switchItOffAndOnAgain() {
  const { page } = maria;
  await live(page);
  for (const [password, then] of [["not the password", "The password is wrong."], [PASSWORD, "off"]]) {
    await part().locator("summary").filter({ hasText: "Switch off" }).click();
    await page.getByLabel("Your password", { exact: true }).fill(password);
    await page.getByRole("button", { name: "Switch it off" }).click();
    await part().getByText(then, { exact: true }).waitFor();
  }
  await takeTheSecret();
  await typeTheCodeOfIt(code(maria.secret));
  maria.codes = await takeTheCodes();
  await page.getByRole("link", { name: "I have kept them" }).click();
  await part().getByText("10 recovery codes are left.").waitFor();
}
