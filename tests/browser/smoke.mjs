// The browser base itself: a page opens, is measured and photographed.

import { expect, expectAccessible, screenshot, withPage } from "./lib.mjs";

await withPage(async (page) => {
  await page.goto("/");
  expect((await page.title()) === "Hello", `the title is ${await page.title()}`);
  await expectAccessible(page, "the page");
  await screenshot(page, "smoke");
});
