// Links to the page: those that would replace a session, and those that name a workspace:
// `node links.mjs ADDRESS SCREENSHOT_DIR WORKSPACE TOKEN OTHER_WORKSPACE OTHER_TOKEN`.
//
// ADDRESS is where `http://acme.localhost` is served. TOKEN, of the user `e2e`, opens both workspaces; OTHER_TOKEN, of the user
// `other`, the second alone. Prints one line of JSON on success; otherwise reports the failure and exits with 1.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { accessible } from "./accessible.mjs";
import { TIMEOUT, must, run, status } from "./page.mjs";
import * as site from "./site.mjs";
import { runScenes } from "./run_scenes.mjs";

const [address, shots, workspace, token, shared, otherToken] = process.argv.slice(2);
const home = "http://acme.localhost/";
mkdirSync(shots, { recursive: true });
const elsewhere = await site.start();
const rules = `--host-resolver-rules=MAP acme.localhost ${address}, MAP evil.localhost 127.0.0.1:${elsewhere.port}`;
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: ["--no-first-run", rules] });
await runScenes(play, async () => {
  await browser.close();
  await elsewhere.stop();
});

async function play() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "dark" });
  const visitor = await context.newPage();
  await visitor.goto(`${home}#token=${token}`);
  await workspaces(visitor);
  await declined(visitor, context);
  await replaced(visitor, context);
  await unchanged(context);
  await expired(context);
  return { sockets: await narrow() };
}

/** Resolves once the page shows that `name` is signed in. */
async function signedIn(page, name) {
  await page.locator("#who:not([hidden])", { hasText: new RegExp(`^Signed in as ${name}$`) }).waitFor({ timeout: TIMEOUT });
}

/** Resolves once the page names neither a workspace nor a token. */
async function nothingOpen(page) {
  await page.locator("#empty:not([hidden])").waitFor({ timeout: TIMEOUT });
  must((await page.title()) === "eice", `the title is ${await page.title()}`);
  must(page.url() === home, `the address is ${page.url()}`);
}

/** The address and the title name the workspace, and a running shell does not end unasked. */
async function workspaces(page) {
  await signedIn(page, "e2e");
  await nothingOpen(page);
  const hint = await page.locator("#empty").innerText();
  must(hint === "Choose a workspace from the list to open a terminal in it.", `the empty page says ${hint}`);
  await accessible(page, "the page without a terminal");
  await page.screenshot({ path: join(shots, "empty.png") });

  await page.locator(`.entry[data-workspace="${workspace}"]`).click();
  await status(page, "Connected to");
  must(page.url() === `${home}#workspace=${workspace}`, `the address is ${page.url()}`);
  must((await page.title()) === "w · eice", `the title is ${await page.title()}`);
  await page.reload();
  await status(page, "Connected to");
  must((await page.locator(".entry[aria-current=true]").getAttribute("data-workspace")) === workspace, "a reload forgets the workspace");

  await run(page, "mine=kept");
  const other = page.locator(`.entry[data-workspace="${shared}"]`);
  await other.click();
  await page.locator("#leaving[open]").waitFor({ timeout: TIMEOUT });
  await accessible(page, "the question before a shell ends");
  await page.screenshot({ path: join(shots, "leaving.png") });
  await page.keyboard.press("Escape");
  must((await run(page, "echo $mine")) === "kept", "the shell ended unasked");
  await other.click();
  await page.locator("#leaving button[value=leave]").click();
  await page.waitForURL(`${home}#workspace=${shared}`);
  await status(page, "Connected to");
  await run(page, "mine=kept");
}

/** A link on another site does not replace the session, nor end its terminals, unless the visitor agrees. */
async function declined(visitor, context) {
  for (const decline of [(page) => page.keyboard.press("Escape"), (page) => page.locator("#replacing-keep").click()]) {
    const page = await context.newPage();
    await page.goto("http://evil.localhost/");
    await page.evaluate((link) => location.assign(link), `${home}#token=${otherToken}`);
    const question = await replacing(page);
    must(/^You are signed in as e2e\. .* as other instead, and ends every terminal/.test(question), `the question is ${question}`);
    must(!page.url().includes("token"), `the token is still in the address: ${page.url()}`);
    await accessible(page, "the question before a session is replaced");
    await page.screenshot({ path: join(shots, "replacing.png") });
    await decline(page);
    await signedIn(page, "e2e");
    must((await page.locator(".entry").count()) === 2, "the list is somebody else's");
    await page.close();
  }
  // One that opens nothing.
  const page = await context.newPage();
  await page.goto(`${home}#token=made-up`);
  await page.locator("#notice", { hasText: /^The link did not sign you in\. The access token opens nothing here/ }).waitFor({ timeout: TIMEOUT });
  await signedIn(page, "e2e");
  await page.close();
  must((await run(visitor, "echo $mine")) === "kept", "the visitor's terminal was ended");
}

/** Resolves to the text of the question, once it is asked. */
async function replacing(page) {
  await page.locator("#replacing[open]").waitFor({ timeout: TIMEOUT });
  return page.locator("#replacing-what").innerText();
}

/** After the visitor agreed, nothing opens on its own, though there is only one workspace. */
async function replaced(visitor, context) {
  const page = await context.newPage();
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  // In a tab that has the page already, only the fragment changes.
  await page.goto(home);
  await signedIn(page, "e2e");
  await page.evaluate((hash) => (location.hash = hash), `#token=${otherToken}&workspace=${shared}`);
  await replacing(page);
  await page.locator("#replacing-agree").click();
  await signedIn(page, "other");
  must((await page.locator(".entry").count()) === 1, "the list is not the new user's");
  await nothingOpen(page);
  await page.screenshot({ path: join(shots, "replaced.png") });
  // The session from before is over, and so is its terminal.
  await signedIn(visitor, "other");
  await visitor.locator("#notice", { hasText: "Another tab signed in as other." }).waitFor({ timeout: TIMEOUT });
  await nothingOpen(visitor);
  must(sockets.length === 0, `a terminal opened on its own: ${sockets}`);
  await page.locator(".entry").click();
  await status(page, "Connected to");
  await page.close();
}

/** The link of the session that there is opens its workspace without a question. */
async function unchanged(context) {
  const page = await context.newPage();
  await page.goto(`${home}#token=${otherToken}&workspace=${shared}`);
  await status(page, "Connected to");
  await signedIn(page, "other");
  must(!(await page.locator("#replacing").evaluate((dialog) => dialog.open)), "a question was asked for nothing");
  await page.close();
}

/** A session that ran out counts as one that was replaced: the visitor may not know that it did. */
async function expired(context) {
  const page = await context.newPage();
  await page.goto(`${home}favicon.svg`);
  const ended = await page.evaluate(async () => (await fetch("/auth/session", { method: "DELETE" })).status);
  must(ended === 204, `signing out answers ${ended}`);
  await page.goto(`${home}#token=${otherToken}&workspace=${shared}`);
  await signedIn(page, "other");
  await nothingOpen(page);
  await page.close();
}

/** The same on a phone, and a first visit, whose link opens its workspace; the number of sockets. */
async function narrow() {
  const context = await browser.newContext({ viewport: { width: 400, height: 800 }, colorScheme: "light", hasTouch: true, isMobile: true });
  const page = await context.newPage();
  let sockets = 0;
  page.on("websocket", () => (sockets += 1));
  await page.goto(`${home}#token=${token}&workspace=${workspace}`);
  await status(page, "Connected to");
  await signedIn(page, "e2e");
  await run(page, "echo on-a-phone");
  await page.screenshot({ path: join(shots, "phone-terminal.png") });
  await accessible(page, "the terminal on a phone");
  const second = await context.newPage();
  await second.goto(home);
  await nothingOpen(second);
  await second.screenshot({ path: join(shots, "phone-empty.png") });
  await second.goto("about:blank");
  await second.goto(`${home}#token=${otherToken}`);
  await replacing(second);
  const wide = await second.evaluate(() => document.documentElement.scrollWidth);
  must(wide <= 400, `the page is ${wide} pixels wide`);
  await accessible(second, "the question on a phone");
  await second.screenshot({ path: join(shots, "phone-replacing.png") });
  await context.close();
  return sockets;
}
