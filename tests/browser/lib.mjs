// What browser tests share: a browser, a login, screenshots, accessibility checks.

import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

// Debian's own Chromium; the rest keeps it from calling home, which a closed network refuses.
const CHROMIUM = "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const SCREENSHOTS = process.env.HMS_SCREENSHOTS ?? fileURLToPath(new URL("../../target/screenshots", import.meta.url));

/** The value of a variable that whoever starts the test sets. */
export function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: browser tests are started by \`./dev test\``);
  return value;
}

/** Opens a page, hands it to `work` and closes the browser whatever happens. */
export async function withPage(work, options = {}) {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  try {
    const context = await browser.newContext({
      baseURL: setting("HMS_URL"),
      ignoreHTTPSErrors: true, // the certificate is signed by the installation's own authority
      viewport: { width: 1280, height: 800 },
      ...options,
    });
    context.setDefaultTimeout(10_000);
    const faults = watch(context);
    const page = await context.newPage();
    await work(page, context);
    expect(faults.length === 0, `the browser complained:\n${faults.join("\n")}`);
  } finally {
    await browser.close();
  }
}

/** Takes one step after the other; which one failed is said with why, and how long each took. */
export async function inOrder(steps, page, context) {
  for (const [name, step] of Object.entries(steps)) {
    const begun = Date.now();
    await step(page, context).catch((error) => {
      error.message = `${name}: ${error.message}`;
      throw error;
    });
    console.log(`${name}: ${Date.now() - begun} ms`);
  }
}

/** Collects what must not happen on any page: errors in scripts, refused content, requests to others. */
function watch(context) {
  const faults = [];
  const own = new URL(setting("HMS_URL")).origin;
  context.on("weberror", (error) => faults.push(`error in a script: ${error.error().message}`));
  context.on("dialog", (dialog) => {
    faults.push(`a script of somebody else said: ${dialog.message()}`);
    void dialog.dismiss();
  });
  context.on("console", (message) => {
    // A page that answers with an error status is the business of the test that asked for it.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
      faults.push(`console: ${message.text()}`);
    }
  });
  context.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.origin !== own) faults.push(`request to ${url.origin}`);
  });
  return faults;
}

/** Runs a program on a host as root and returns what it printed. */
export async function onHost(host, ...argv) {
  const leaders = new Map(setting("HMS_HOSTS").split(",").map((one) => one.split("=")));
  const enter = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"];
  const run = await promisify(execFile)("nsenter", [`--target=${leaders.get(host)}`, ...enter, ...argv]);
  return run.stdout.trim();
}

/** Logs in and waits for the first page. */
export async function logIn(page, username = setting("HMS_USERNAME"), password = setting("HMS_PASSWORD")) {
  await page.goto("/login");
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL((url) => url.pathname !== "/login");
}

/** Saves a picture of the page as NAME.png. */
export async function screenshot(page, name, options = {}) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), animations: "disabled", ...options });
}

const LOOKS = [
  ["desktop", "light", { width: 1280, height: 800 }],
  ["desktop", "dark", { width: 1280, height: 800 }],
  ["phone", "light", { width: 390, height: 844 }],
  ["phone", "dark", { width: 390, height: 844 }],
];

/** Pictures of the page on a desk and on a phone, in light and dark; what is hard to use or does not fit fails. */
export async function examine(page, name) {
  for (const [size, colorScheme, viewport] of LOOKS) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await screenshot(page, `${name}-${size}-${colorScheme}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(wide <= 0, `${name} is ${wide} px wider than a ${size}`);
    if ((size === "desktop") === (colorScheme === "light")) await expectAccessible(page, `${name} (${size}, ${colorScheme})`);
  }
  await page.setViewportSize(LOOKS[0][2]);
  await page.emulateMedia({ colorScheme: "light" });
}

/** Fails when axe finds what people with disabilities would stumble over. */
export async function expectAccessible(page, where) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const list = violations.map((v) => `${v.id} (${v.impact}): ${v.help}\n  ${v.nodes.map((n) => n.html).join("\n  ")}`);
  expect(violations.length === 0, `${where} is not accessible:\n${list.join("\n")}`);
}

/** Fails with this text unless the condition holds. */
export function expect(condition, text) {
  if (!condition) throw new Error(text);
}
