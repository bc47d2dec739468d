// Drives the page in a real Chromium: `node terminal.mjs LINK SCREENSHOT_DIR [CHROMIUM]`.
//
// LINK is what `eice demo` prints, with its token. Prints one line of JSON on success; says what went wrong and exits
// with 1 otherwise. What is waited for is what a person would see: the text of the terminal's rows, the status line.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const TIMEOUT = 20_000;

const [link, directory, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
if (link === undefined || directory === undefined) {
  console.error("usage: node terminal.mjs LINK SCREENSHOT_DIR [CHROMIUM]");
  process.exit(2);
}
mkdirSync(directory, { recursive: true });

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

try {
  console.log(JSON.stringify(await drive()));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await browser.close();
}

async function drive() {
  const context = await browser.newContext({ viewport: { width: 1120, height: 700 }, colorScheme: "dark" });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));

  await page.goto(link);
  await page.locator("#app").waitFor({ timeout: TIMEOUT });
  const address = page.url();
  must(!address.includes("token"), `the token is still in the address: ${address}`);
  must((await page.evaluate(() => document.cookie)) === "", "a script can read the session cookie");
  const cookies = await context.cookies();
  must(
    cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === "Strict",
    `the session cookie is not HttpOnly and SameSite=Strict: ${cookies.map((cookie) => cookie.name)}`,
  );

  const workspace = page.locator(".entry").first();
  await workspace.click();
  await status(page, "Connected to");
  const id = await workspace.getAttribute("data-workspace");
  await type(page, "whoami");
  await row(page, /^[a-z_][a-z0-9_-]*$/);
  await type(page, "df -h /");
  await row(page, /Mounted on/);
  await type(page, "echo $MOLECULE_WS_ID");
  await row(page, new RegExp(`^${id}$`));
  await page.screenshot({ path: join(directory, "terminal.png") });
  const user = await run(page, "whoami");
  const answer = await run(page, "echo hello-$((40+2))");
  must(answer === "hello-42", `the shell answered ${JSON.stringify(answer)}`);

  await type(page, "exit");
  await status(page, "The shell ended.");
  await page.screenshot({ path: join(directory, "ended.png") });
  await page.locator("#reconnect").click();
  await status(page, "Connected to");
  must((await run(page, "echo again-$((1+1))")) === "again-2", "the second shell does not answer");

  const light = await context.newPage();
  await light.emulateMedia({ colorScheme: "light" });
  await light.setViewportSize({ width: 640, height: 800 });
  await light.goto(address);
  await status(light, "Connected to");
  await light.screenshot({ path: join(directory, "narrow.png") });
  await light.close();

  await page.locator("#sign-out").click();
  await page.locator("#sign-in").waitFor({ timeout: TIMEOUT });
  await page.screenshot({ path: join(directory, "sign-in.png") });
  const refused = await page.evaluate(async () => (await fetch("/workspaces")).status);
  must(refused === 401, `after signing out the list answers ${refused}`);

  // The browser reports the 401 that was just asked for.
  const unexpected = complaints.filter((text) => !text.includes("401"));
  must(unexpected.length === 0, `the page complained: ${unexpected.join(" | ")}`);
  return { user, answer, workspace: id };
}

/** Types `command` and answers with the line that it printed. */
async function run(page, command) {
  const mark = `end-${Math.random().toString(36).slice(2, 8)}`;
  // The mark is put together by the shell, so that its echo is not taken for its output.
  await type(page, `${command}; echo ${mark.slice(0, 5)}''${mark.slice(5)}`);
  const rows = await row(page, new RegExp(`^${mark}$`));
  return rows[rows.findIndex((text) => text === mark) - 1];
}

async function type(page, command) {
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type(`${command}\n`);
}

/** The terminal's rows, once one of them matches. */
async function row(page, pattern) {
  const rows = page.locator(".xterm-rows > div");
  await rows.filter({ hasText: pattern }).first().waitFor({ timeout: TIMEOUT });
  return (await rows.allInnerTexts()).map((text) => text.replace(/\u00a0/g, " ").trim());
}

async function status(page, text) {
  await page.locator("#status", { hasText: text }).waitFor({ timeout: TIMEOUT }).catch(async () => {
    throw new Error(`the status is ${JSON.stringify(await page.locator("#status").innerText())}, not ${text}`);
  });
}

function must(holds, complaint) {
  if (!holds) throw new Error(complaint);
}
