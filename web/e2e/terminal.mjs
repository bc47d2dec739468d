// Drives the page in a real Chromium: `node terminal.mjs LINK SCREENSHOT_DIR [CHROMIUM] [SCENE…]`.
//
// LINK is what `eice demo` prints, with its token. Prints one line of JSON on success; says what went wrong and in
// which scene, and exits with 1 otherwise. What is waited for is what a person would see: the text of the terminal's
// rows, the status line.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { TIMEOUT, must, status } from "./page.mjs";
import * as proxies from "./proxy.mjs";
import { all } from "./scenes.mjs";
import { runScenes } from "./run_scenes.mjs";

const [link, shots, executablePath = "/usr/bin/chromium", ...chosen] = process.argv.slice(2);
if (link === undefined || shots === undefined) {
  console.error("usage: node terminal.mjs LINK SCREENSHOT_DIR [CHROMIUM] [SCENE…]");
  process.exit(2);
}
mkdirSync(shots, { recursive: true });

const proxy = await proxies.start();
const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
  ],
});
const complaints = [];

await runScenes(drive, async () => {
  await browser.close();
  proxy.stop();
});

async function context(viewport, more = {}) {
  return browser.newContext({
    viewport,
    colorScheme: "dark",
    // By default, loopback bypasses proxies.
    proxy: { server: `http://127.0.0.1:${proxy.port}`, bypass: "<-loopback>" },
    permissions: ["clipboard-read", "clipboard-write"],
    ...more,
  });
}

async function drive() {
  const home = await context({ width: 1120, height: 700 });
  const page = await watched(home);
  await page.goto(link);
  await page.locator("#app").waitFor({ timeout: TIMEOUT });
  must(!page.url().includes("token"), `the token is still in the address: ${page.url()}`);
  const address = new URL("/", page.url()).href;
  must((await page.evaluate(() => document.cookie)) === "", "a script can read the session cookie");
  const cookies = await home.cookies();
  must(
    cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === "Strict",
    `the session cookie is not HttpOnly and SameSite=Strict: ${cookies.map((cookie) => cookie.name)}`,
  );
  const entry = page.locator(".entry").first();
  await entry.click();
  await status(page, "Connected to");
  const workspace = await entry.getAttribute("data-workspace");

  /** Another page on the terminal: in this browser's session, or on a device of its own. */
  const open = async (viewport, device) => {
    let from = home;
    if (device !== undefined) {
      from = await context(viewport, device);
      await from.addCookies(cookies);
    }
    const other = await watched(from);
    await other.goto(address);
    await status(other, "Connected to");
    return other;
  };

  /** A page of a browser that was never here. */
  const device = async (viewport) => watched(await context(viewport));

  const passed = {};
  for (const [name, scene] of Object.entries(all)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    const began = Date.now();
    try {
      passed[name] = { ...(await scene({ page, workspace, proxy, open, device, fresh: () => watched(home), link, address, shots })), ms: Date.now() - began };
    } catch (error) {
      await page.screenshot({ path: join(shots, `failed-${name}.png`) });
      throw new Error(`scene ${name}: ${error instanceof Error ? error.message : error}`);
    }
  }

  await page.locator("#sign-out").click();
  await page.locator("#sign-in").waitFor({ timeout: TIMEOUT });
  await page.screenshot({ path: join(shots, "sign-in.png") });
  const refused = await page.evaluate(async () => (await fetch("/workspaces")).status);
  must(refused === 401, `after signing out the list answers ${refused}`);

  // What was done on purpose is reported as well: the 401 just now, and the sockets that were cut.
  const unexpected = complaints.filter((text) => !/401|WebSocket connection to|ERR_/.test(text));
  must(unexpected.length === 0, `the page complained: ${unexpected.join(" | ")}`);
  return { workspace, scenes: passed };
}

/** A page whose errors are kept. */
async function watched(from) {
  const page = await from.newPage();
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  return page;
}
