// What the scripts about people share: who takes part, their authenticator, and ways around the clock.

import { createHmac } from "node:crypto";
import { onHost, setting } from "./lib.mjs";

export const PATIENCE = { timeout: 60_000 };
export const PASSWORD = "seven small grey stones";
export const NEW_PASSWORD = "eight large red pebbles";

/** Who was invited: her browser's page, the secret of her authenticator, her recovery codes and one of before. */
export const maria = { page: undefined, secret: "", codes: [], void: "" };

export const live = (page) => page.locator("#live[data-state=live]").waitFor(PATIENCE);

const sql = (text) =>
  onHost(setting("HMS_CONTROLLER"), "runuser", "-u", "postgres", "--", "psql", "-qc", text, "hosting_production");

/** A login of some time ago is not enough for what asks for a confirmation. */
export const makeLoginsOld = (name = setting("HMS_USERNAME")) =>
  sql(`UPDATE sessions SET confirmed_at = now() - INTERVAL '1 hour' FROM users WHERE users.id = user_id AND username = '${name}'`);

/** As after a minute: the codes that are shown now were not taken yet. */
export const forgetUsedCodes = () => sql("UPDATE users SET totp_step = totp_step - 4");

/** A code of an authenticator (RFC 6238), of this half minute or one after it. */
export function code(secret, later = 0) {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
  const hash = createHmac("sha1", key).update(counter).digest();
  const number = hash.readUInt32BE(hash[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

/** Somebody else's browser. */
export async function another(page, options = {}) {
  const own = { baseURL: setting("HMS_URL"), ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 } };
  const context = await page.context().browser().newContext({ ...own, ...options });
  context.setDefaultTimeout(20_000);
  return context.newPage();
}

/** Types name and password where the login is shown. */
export async function typeLogin(page, username, password) {
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
}

export async function typeCode(page, typed) {
  await page.getByLabel("Code").fill(typed);
  await page.getByRole("button", { name: "Log in" }).click();
}

export async function logOut(page) {
  await page.locator(".menu summary").click();
  await page.getByRole("button", { name: "Log out", exact: true }).click();
  await page.waitForURL(/\/login/);
}
