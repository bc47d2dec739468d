// Drives the page's list of open terminals: `node terminals.mjs ADDRESS SCREENSHOT_DIR WORKSPACE TOKEN OTHER_WORKSPACE OTHER_TOKEN`.
//
// ADDRESS is where `http://acme.localhost` is served. TOKEN opens both workspaces, OTHER_TOKEN the second alone. Prints one line
// of JSON on success; says what went wrong and exits with 1 otherwise.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { accessible } from "./accessible.mjs";
import { TIMEOUT, must, run, status } from "./page.mjs";
import { runScenes } from "./run_scenes.mjs";

const [address, shots, workspace, token, shared, otherToken] = process.argv.slice(2);
// To a browser a name below localhost is as good as HTTPS.
const home = "http://acme.localhost/";
mkdirSync(shots, { recursive: true });
const rules = `--host-resolver-rules=MAP acme.localhost ${address}`;
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: ["--no-first-run", rules] });
await runScenes(play, () => browser.close());

async function play() {
  const mine = await arrive({ width: 1120, height: 700 }, token);
  const questions = [];
  mine.on("request", (request) => {
    if (request.url().endsWith("/sessions")) questions.push(request.method());
  });
  await mine.locator(`.entry[data-workspace="${shared}"]`).click();
  await status(mine, "Connected to");
  must((await run(mine, "echo mi''ne")) === "mine", "the first terminal does not answer");

  // Somebody else, on a phone, who may open one workspace only.
  const theirs = await arrive({ width: 400, height: 780 }, otherToken, { hasTouch: true, isMobile: true });
  await status(theirs, "Connected to");
  must((await theirs.locator(".entry").count()) === 1, "a workspace of somebody else's is shown");
  const refused = await theirs.evaluate(
    async (workspace) => (await fetch(`/workspaces/${workspace}/terminal/sessions`)).status,
    workspace,
  );
  must(refused === 401, `somebody else's terminals are answered ${refused}`);

  must(questions.length === 0, `the list was asked for before it was wanted: ${questions}`);
  await listed(mine, shared);
  const other = await closed(mine, theirs);
  await silent(mine, questions);
  const wide = await phone(theirs);
  await over(mine);
  return { other, wide };
}

/** By the keyboard: the list opens, shows the owners, and keeps the focus where it is when one more comes. */
async function listed(page, workspace) {
  await page.locator("#list").focus();
  await page.keyboard.press("Enter");
  const rows = page.locator("#terminals-list li");
  await announced(page, "2 terminals are open.");
  must((await page.locator("#list").getAttribute("aria-expanded")) === "true", "the button does not say that it is open");
  const texts = await rows.allInnerTexts();
  must(/^e2e · [0-9a-f]{8}/.test(texts[0]) && texts[0].includes("this one"), `the first row reads ${texts[0]}`);
  must(/^other · [0-9a-f]{8}/.test(texts[1]) && !/this one|yours/.test(texts[1]), `the second row reads ${texts[1]}`);
  must(/since .*\(\d+ (s|min)\) · .* typed, .*B printed/.test(texts[0]), `the first row reads ${texts[0]}`);
  await accessible(page, "the list");
  await page.screenshot({ path: join(shots, "terminals.png") });
  await page.locator("#theme").click();
  await page.locator("html[data-colors=light]").waitFor({ timeout: TIMEOUT });
  await accessible(page, "the list in light colors");
  await page.screenshot({ path: join(shots, "terminals-light.png") });
  await page.locator("#theme").click();

  // One more of the same user, in another tab: it appears on its own.
  await page.locator("#list").focus();
  await page.keyboard.press("Tab");
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
  const before = await focused();
  must(/^Close terminal [0-9a-f]{8} of e2e$/.test(before), `behind the button comes ${before}`);
  const tab = await page.context().newPage();
  await tab.goto(home);
  await tab.locator(`.entry[data-workspace="${workspace}"]`).click();
  await status(tab, "Connected to");
  await page.bringToFront();
  await announced(page, "3 terminals are open.");
  must((await rows.nth(2).innerText()).includes("yours"), `the third row reads ${await rows.nth(2).innerText()}`);
  must((await focused()) === before, `the focus went to ${await focused()}`);
  await tab.close();
  await announced(page, "2 terminals are open.");

  // To a screen reader.
  const spoken = await page.locator("#terminals").ariaSnapshot();
  for (const word of ['region "Open terminals"', "status: 2 terminals are open.", "list", "listitem", 'button "Close terminal']) {
    must(spoken.includes(word), `a screen reader does not get ${word}:\n${spoken}`);
  }
}

/** Somebody else's terminal is closed by the keyboard, after a confirmation, and its viewer is notified. */
async function closed(page, theirs) {
  const row = page.locator("#terminals-list li", { hasText: "other" });
  const close = row.getByRole("button");
  const dialog = page.getByRole("alertdialog", { name: "Close this terminal?" });
  await close.focus();
  await page.keyboard.press("Enter");
  await dialog.waitFor({ timeout: TIMEOUT });
  must((await dialog.innerText()).includes("It is other's. What runs in it ends"), `it asks ${await dialog.innerText()}`);
  must((await page.evaluate(() => document.activeElement?.textContent)) === "Keep it open", "the focus is on what cannot be undone");
  await accessible(page, "the question");
  await page.screenshot({ path: join(shots, "terminals-close.png") });
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden", timeout: TIMEOUT });
  must(await close.evaluate((button) => button === document.activeElement), "the focus is lost");
  must(await page.locator("#terminals").isVisible(), "Escape closed the list as well");
  must((await run(theirs, "echo al''ive")) === "alive", "what was not confirmed was done");
  await close.focus();
  await page.keyboard.press("Enter");
  await dialog.waitFor({ timeout: TIMEOUT });
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await announced(page, "One terminal is open.");
  must(
    await page.evaluate(() => document.activeElement?.closest("#terminals-list") !== null),
    "the focus is lost with the row",
  );
  const text = "The terminal was ended by an operator.";
  await status(theirs, text);
  const rows = await theirs.locator(".xterm-rows > div").allInnerTexts();
  must(rows.filter((line) => line.includes("ended by an operator")).length === 1, `it reads ${rows}`);
  return text;
}

/** Closed, the list asks nothing: the terminal's own clock goes on, and no question comes. */
async function silent(page, questions) {
  await page.keyboard.press("Escape");
  await page.locator("#terminals").waitFor({ state: "hidden", timeout: TIMEOUT });
  must((await page.evaluate(() => document.activeElement?.id)) === "list", "the focus is not back at the button");
  must((await page.locator("#terminals-list li").count()) === 0, "what is hidden is still there");
  const before = questions.length;
  must(questions.includes("GET"), "nothing was asked");
  // The latency is measured as often as the list would be asked for: twice is longer than once.
  for (let seen = 0; seen < 2; seen += 1) {
    await page.evaluate(
      () =>
        new Promise((changed) => {
          new MutationObserver((_, observer) => {
            observer.disconnect();
            changed();
          }).observe(document.getElementById("latency"), { childList: true, attributes: true, characterData: true, subtree: true });
        }),
    );
  }
  must(questions.length === before, "a list that is closed is asked for");
}

/** On a phone nothing is wider than the screen, and a finger can do it. */
async function phone(page) {
  await page.locator("#reconnect").tap();
  await status(page, "Connected to");
  await page.locator("#list").tap();
  await announced(page, "2 terminals are open.");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  must(wide <= 400, `the page is ${wide} pixels wide`);
  await accessible(page, "the list on a phone");
  await page.screenshot({ path: join(shots, "terminals-phone.png") });
  await page.locator("#terminals-list li", { hasText: "this one" }).getByRole("button").tap();
  const dialog = page.getByRole("alertdialog");
  await dialog.waitFor({ timeout: TIMEOUT });
  must((await dialog.innerText()).includes("It is the one in this page."), `it asks ${await dialog.innerText()}`);
  const box = await dialog.boundingBox();
  must(box.x >= 0 && box.x + box.width <= 400, `the question is ${JSON.stringify(box)}`);
  await page.screenshot({ path: join(shots, "terminals-phone-close.png") });
  await page.getByRole("button", { name: "Close it" }).tap();
  await status(page, "The terminal was ended by an operator.");
  await announced(page, "One terminal is open.");
  await page.context().close();
  return wide;
}

/** Whoever is not signed in any more sees the list no longer. */
async function over(page) {
  await page.locator("#list").click();
  await announced(page, "One terminal is open.");
  const elsewhere = await page.context().newPage();
  await elsewhere.goto(`${home}favicon.svg`);
  await elsewhere.evaluate(async () => fetch("/auth/session", { method: "DELETE" }));
  await page.bringToFront();
  await page.locator("#sign-in-error", { hasText: /^Your sign-in is over/ }).waitFor({ timeout: 2 * TIMEOUT });
  must((await page.locator("#terminals-list li").count()) === 0, "the list is still there");
}

/** Signs in on a device of its own. */
async function arrive(viewport, token, more = {}) {
  const context = await browser.newContext({ viewport, colorScheme: "dark", ...more });
  const page = await context.newPage();
  await page.goto(`${home}#token=${token}`);
  await page.locator("#app").waitFor({ timeout: TIMEOUT }).catch(async () => {
    throw new Error(`the page is not let in: ${await page.locator("body").innerText()}`);
  });
  return page;
}

/** Waits until the list says `text`. */
async function announced(page, text) {
  const place = page.locator("#terminals-status");
  await place.filter({ hasText: text }).waitFor({ timeout: TIMEOUT }).catch(async () => {
    throw new Error(`the list says ${JSON.stringify(await place.innerText())}, not ${text}`);
  });
}
