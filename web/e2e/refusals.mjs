// Drives the page where a terminal does not open: `node refusals.mjs LINK SCREENSHOT_DIR [CHROMIUM]`.
//
// LINK is a gateway's page with a token, `http://HOST:PORT/#token=…`. Its one workspace cannot be reached: the gateway may not
// push a key (an IAM statement is missing), and the security group does not let the endpoint in. Prints one line of
// JSON on success; says what went wrong and exits with 1 otherwise.

import { createServer, request } from "node:http";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { accessible } from "./accessible.mjs";
import { TIMEOUT, must, status } from "./page.mjs";
import * as site from "./site.mjs";
import { runScenes } from "./run_scenes.mjs";

const [link, shots, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
if (link === undefined || shots === undefined) {
  console.error("usage: node refusals.mjs LINK SCREENSHOT_DIR [CHROMIUM]");
  process.exit(2);
}
mkdirSync(shots, { recursive: true });
const gateway = new URL(link);
const token = new URLSearchParams(gateway.hash.slice(1)).get("token");

const browser = await chromium.launch({ executablePath, headless: true, args: ["--no-first-run"] });
const front = await proxy();
const stranger = await site.start();
await runScenes(
  async () => ({ diagnosed: await diagnosed(), narrow: await narrow(), denied: await denied(), hidden: await hidden() }),
  async () => {
    await browser.close();
    front.close();
    await stranger.stop();
  },
);

/** A terminal that does not open is diagnosed, and its fixes can be copied by keyboard alone. */
async function diagnosed() {
  const page = await open({ width: 1120, height: 760 });
  await page.goto(link);
  await report(page);
  const alert = await page.locator("#failure").innerText();
  must(alert.startsWith("key-push:"), `what failed reads ${alert}`);
  const verdict = await page.locator("#verdict").innerText();
  must(/^It fails at security-groups and \d+ more\. It took /.test(verdict), `the verdict reads ${verdict}`);
  const failed = page.locator("#steps details[data-outcome=failed]", { hasText: "key-push" }).first();
  const words = await failed.innerText();
  for (const word of ["What to do:", "AWS request id", "ec2-instance-connect:SendSSHPublicKey"]) {
    must(words.includes(word), `the failed step does not say ${word}: ${words}`);
  }
  must((await page.locator("#diagnosis li").count()) === 19, "not every step is there");
  await status(page, "No terminal could be opened: key-push failed.");
  must(await page.locator("#steps").getByText("security group sg-").first().isVisible(), "the rule is not shown");
  await accessible(page, "the diagnosis");
  await page.screenshot({ path: join(shots, "diagnose.png") });

  // By the keyboard: to the statement's button, and out of a step that is folded.
  const copy = failed.getByRole("button", { name: "Copy the statement" });
  await copy.focus();
  await page.keyboard.press("Enter");
  await failed.getByText("Copied").waitFor({ timeout: TIMEOUT });
  const statement = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
  must(statement.Effect === "Allow" && statement.Action === "ec2-instance-connect:SendSSHPublicKey", "another statement was copied");
  const others = page.locator("#others");
  const passed = others.locator("details[data-outcome=passed]").first();
  for (const fold of [others, passed]) {
    must(!(await fold.evaluate((fold) => fold.open)), "what is well is not folded");
    await fold.locator("> summary").focus();
    await page.keyboard.press("Enter");
    must(await fold.evaluate((fold) => fold.open), "it does not unfold by the keyboard");
  }
  await copy.waitFor({ timeout: TIMEOUT });
  // To a screen reader the sections, the verdict and the steps have names.
  const spoken = await page.locator("#details").ariaSnapshot();
  for (const word of ['region "Diagnosis"', "status", "failed", "Copy the statement", "Diagnose again"]) {
    must(spoken.includes(word), `a screen reader does not get ${word}:\n${spoken}`);
  }

  await page.locator("#theme").click();
  await page.locator("html[data-colors=light]").waitFor({ timeout: TIMEOUT });
  await accessible(page, "the diagnosis in light colors");
  await page.screenshot({ path: join(shots, "diagnose-light.png") });

  // Again, and then another attempt: its own failure takes the place of the old report.
  await page.locator("#diagnose").click();
  await page.locator("#verdict", { hasText: "It fails at" }).waitFor({ timeout: TIMEOUT });
  await page.locator("#reconnect").click();
  await report(page);
  await page.context().close();
  return verdict;
}

/** The same on a phone: nothing is wider than the screen. */
async function narrow() {
  const page = await open({ width: 400, height: 780 }, { hasTouch: true, isMobile: true });
  await page.goto(link);
  await report(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  must(wide <= 400, `the page is ${wide} pixels wide`);
  await accessible(page, "the diagnosis on a phone");
  await page.screenshot({ path: join(shots, "diagnose-phone.png") });
  await page.context().close();
  return wide;
}

/** The page came by way of an address that the gateway does not know: it says so, in place of code 1006. */
async function denied() {
  const page = await open({ width: 1120, height: 700 });
  const there = `http://127.0.0.1:${front.address().port}`;
  // Signing in is refused with the reason.
  await page.goto(`${there}/#token=${token}`);
  await page.locator("#sign-in-error", { hasText: `does not let pages of ${there} in` }).waitFor({ timeout: TIMEOUT }).catch(async () => {
    throw new Error(`signing in from elsewhere says: ${await page.locator("body").innerText()}`);
  });
  await page.screenshot({ path: join(shots, "denied-sign-in.png") });
  // A browser sends a host's cookies to all of its ports: a signed-in user sees the list, but opens nothing.
  await page.goto(link);
  await page.locator("#app").waitFor({ timeout: TIMEOUT });
  let sockets = 0;
  page.on("websocket", () => (sockets += 1));
  await page.goto(`${there}/`);
  await status(page, `The gateway does not let pages of ${there} in.`);
  must((await page.locator("#status").innerText()).includes(`add ${there} to the gateway's allowed_origins`), "no way out");
  must(await page.locator("#reconnect").isVisible(), "it cannot be tried again");
  must(sockets === 1, `${sockets} sockets: it goes on trying what cannot succeed`);
  await page.screenshot({ path: join(shots, "denied.png") });
  await page.context().close();
  return sockets;
}

/** A page on another site, with the client in it: the browser hides the gateway's answers, and the client still detects it. */
async function hidden() {
  const page = await open({ width: 600, height: 300 });
  const there = `http://127.0.0.1:${stranger.port}`;
  await page.goto(there);
  const url = `ws://${gateway.host}/workspaces/0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9/terminal`;
  const why = await page.evaluate(async (url) => {
    const { refusal } = await import("/lib/index.js");
    return refusal(url);
  }, url);
  must(why?.status === 0 && why.text.startsWith(`The gateway does not let pages of ${there} in.`), JSON.stringify(why));
  // A missing gateway is something else.
  const missing = await page.evaluate(async () => {
    const { refusal } = await import("/lib/index.js");
    return refusal("ws://127.0.0.1:9/workspaces/1/terminal");
  });
  must(missing === null, `there is no gateway, and the client says ${JSON.stringify(missing)}`);
  await page.context().close();
  return why.text;
}

async function open(viewport, more = {}) {
  const context = await browser.newContext({
    viewport,
    colorScheme: "dark",
    permissions: ["clipboard-read", "clipboard-write"],
    ...more,
  });
  return context.newPage();
}

/** Waits for the report of the attempt that just failed. */
async function report(page) {
  await page.locator("#verdict", { hasText: "It fails at" }).waitFor({ timeout: 2 * TIMEOUT }).catch(async () => {
    throw new Error(`no diagnosis: ${await page.locator("#status").innerText()} / ${await page.locator("#details").innerText()}`);
  });
}

/** A proxy in front of the gateway, under an address that is not on its list. */
function proxy() {
  const { hostname, port, host } = gateway;
  const server = createServer((asked, answer) => {
    const { method, url: path, headers } = asked;
    const passed = request({ hostname, port, method, path, headers: { ...headers, host } }, (answered) => {
      answer.writeHead(answered.statusCode, answered.headers);
      answered.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    asked.pipe(passed);
  });
  server.on("upgrade", ({ url: path, headers }, socket) => {
    const passed = request({ hostname, port, path, headers: { ...headers, host } });
    // The gateway says no: what it says goes on as it is.
    passed.on("response", ({ statusCode }) => socket.end(`HTTP/1.1 ${statusCode} No\r\ncontent-length: 0\r\n\r\n`));
    passed.on("error", () => socket.destroy());
    passed.end();
  });
  return listening(server);
}

async function listening(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
