// The pictures in the README: the demo's pages, in light and dark, on a desktop and on a phone.

import { logIn, screenshot, withPage } from "./lib.mjs";

const DESKTOP = { viewport: { width: 1440, height: 900 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 };

let run;
let failed;

const PICTURES = () => [
  ["dashboard-light", "/", { ...DESKTOP, colorScheme: "light" }],
  ["dashboard-dark", "/", { ...DESKTOP, colorScheme: "dark" }],
  ["dashboard-phone", "/", { ...PHONE, colorScheme: "dark" }],
  ["logs-dark", "/logs?app=cigar", { ...DESKTOP, colorScheme: "dark" }],
  ["deploy-light", "/deploy", { ...DESKTOP, colorScheme: "light" }],
  ["deploy-phone", "/deploy", { ...PHONE, colorScheme: "light" }],
  ["app-dark", "/apps/tobacco", { ...DESKTOP, colorScheme: "dark" }],
  ["deployment-dark", failed, { ...DESKTOP, colorScheme: "dark" }],
  ["hosts-light", "/hosts", { ...DESKTOP, colorScheme: "light" }],
  ["audit-light", "/audit", { ...DESKTOP, colorScheme: "light" }],
  ["scripts-light", "/scripts", { ...DESKTOP, colorScheme: "light" }],
  ["run-dark", run, { ...DESKTOP, colorScheme: "dark" }],
  ["configs-light", "/configs?host=asterra", { ...DESKTOP, colorScheme: "light" }],
  ["editor-light", "/configs/asterra/sites-available/cigar", { ...DESKTOP, colorScheme: "light" }],
];

// Charts draw the last minutes: a demo that has just begun has to live a little before its picture is taken.
const LIVE_FOR = 45_000;
const SETTLE = 3_000;

let session;

await withPage(async (page, context) => {
  await logIn(page);
  for (const app of ["tobacco", "cigar"]) {
    const row = page.locator(`#app-${app}`);
    await row.getByRole("button", { name: "Restart" }).click();
    await row.getByText(/Restarted in/).waitFor({ timeout: 60_000 });
  }
  await page.goto("/scripts/check_disk_space");
  await page.getByRole("radio", { name: "All", exact: true }).check();
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForURL(/\/runs\//);
  await page.getByRole("heading", { name: /Succeeded/ }).waitFor({ timeout: 60_000 });
  run = new URL(page.url()).pathname;
  await page.goto("/deploy");
  const row = page.locator(".deployments tr", { hasText: "Read the stock from the new supplier" }).first();
  failed = await row.getByRole("link").first().getAttribute("href");
  await page.waitForTimeout(LIVE_FOR);
  session = await context.storageState();
}, DESKTOP);

for (const [name, path, options] of PICTURES()) {
  await withPage(async (page) => {
    await page.goto(path);
    await page.waitForTimeout(SETTLE);
    await screenshot(page, name);
  }, { ...options, storageState: session });
}
