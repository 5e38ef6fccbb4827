// The pictures in the README: the demo's pages, in light and dark, on a desktop and on a phone.

import { logIn, screenshot, withPage } from "./lib.mjs";

const PAGES = [
  ["dashboard", "/"],
  ["logs", "/logs?app=cigar"],
  ["hosts", "/hosts"],
  ["audit", "/audit"],
];

const LOOKS = [
  ["light", { colorScheme: "light", deviceScaleFactor: 2 }],
  ["dark", { colorScheme: "dark", deviceScaleFactor: 2 }],
  ["phone", { colorScheme: "light", deviceScaleFactor: 2, viewport: { width: 390, height: 844 } }],
];

// A few points of every chart and some lines of log, so that the pictures are not of an empty system.
const LIVE_FOR = 6_000;

for (const [look, options] of LOOKS) {
  await withPage(async (page) => {
    await logIn(page);
    for (const [name, path] of PAGES) {
      await page.goto(path);
      await page.waitForTimeout(LIVE_FOR);
      await screenshot(page, `${name}-${look}`);
    }
  }, options);
}
