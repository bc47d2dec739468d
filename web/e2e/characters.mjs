// Characters of output that is cut at every byte, as xterm.js shows them, in both protocols:
// `node characters.mjs ADDRESS SCREENSHOT_DIR WORKSPACE TOKEN`.
//
// ADDRESS is where `http://acme.localhost` is served. Prints one line of JSON on success; otherwise reports the failure and exits
// with 1.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { TIMEOUT, must, row, status, type } from "./page.mjs";
import { runScenes } from "./run_scenes.mjs";

const [address, shots, workspace, token] = process.argv.slice(2);
const home = "http://acme.localhost/";
const XTERM = fileURLToPath(new URL("../node_modules/@xterm/xterm/lib/xterm.js", import.meta.url));

/** Characters that xterm.js loses when a write of bytes ends within them, between two that it does not. */
const TEXT = "a\u2026\u2014\u201c\u2022\u200b\u{1f600}\u{10348}\u00e9b";
const BYTES = Buffer.from(TEXT);

/** Prints the text once for each place it can be cut at, then byte by byte. Each escape has four characters. */
const COMMAND = [
  `t='${[...BYTES].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")}'`,
  'part() { printf "$(printf %s "$t" | cut -c$1-$2)"; sleep 0.02; }',
  'n=${#t}; i=4; while [ $i -lt $n ]; do part 1 $i; part $((i+1)) $n; echo; i=$((i+4)); done',
  "i=1; while [ $i -lt $n ]; do part $i $((i+3)); i=$((i+4)); done; echo; echo all-of-''it",
].join("; ");

/** The number of lines that it prints. */
const LINES = BYTES.length;

mkdirSync(shots, { recursive: true });
const rules = `--host-resolver-rules=MAP acme.localhost ${address}`;
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: ["--no-first-run", rules] });
await runScenes(play, () => browser.close());

async function play() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, bypassCSP: true });
  return { eicterm: await eicterm(context), scripted: await scripted(context), legacy: await legacy(context) };
}

/** The gateway's page, with a real shell. */
async function eicterm(context) {
  const page = await context.newPage();
  await page.goto(`${home}#token=${token}`);
  await page.locator(`.entry[data-workspace="${workspace}"]`).click();
  await status(page, "Connected to");
  await type(page, COMMAND);
  const rows = await row(page, /^all-of-it$/);
  await page.screenshot({ path: join(shots, "characters.png") });
  await page.close();
  return whole(rows);
}

/** The page with a gateway of this script's, which cuts its messages exactly. */
async function scripted(context) {
  const page = await context.newPage();
  const parts = [];
  for (let at = 1; at < BYTES.length; at += 1) parts.push(BYTES.subarray(0, at), BYTES.subarray(at), Buffer.from("\r\n"));
  for (const byte of BYTES) parts.push(Buffer.of(byte));
  parts.push(Buffer.from("\r\nall-of-it\r\n"));
  const length = BigInt(Buffer.concat(parts).length);
  let allAcked = () => {};
  const acked = new Promise((resolve) => (allAcked = resolve));
  await page.routeWebSocket(/\/terminal$/, (socket) => {
    let attached = false;
    socket.onMessage((message) => {
      // Bytes are acknowledged, not characters.
      if (message[0] === 0x02 && message.readBigUInt64BE(1) === length) allAcked();
      if (attached) return;
      attached = true;
      const limits = { max_frame: 65_536, window: 524_288, in_window: 1_048_576 };
      const hello = { t: "hello", v: 1, session: "s", resume_token: null, out_off: 0, in_off: 0, limits, caps: {} };
      socket.send(JSON.stringify(hello));
      for (const part of parts) socket.send(part);
    });
  });
  await page.goto(home);
  await page.locator(`.entry[data-workspace="${workspace}"]`).click();
  const rows = await row(page, /^all-of-it$/);
  await acked;
  await page.close();
  return whole(rows);
}

/** The platform's client: every message is written to xterm.js as it comes. */
async function legacy(context) {
  const page = await context.newPage();
  await page.goto(`${home}health`);
  await page.addScriptTag({ path: XTERM });
  const rows = await page.evaluate(
    async ({ workspace, command, timeout }) => {
      const term = new window.Terminal({ cols: 200, rows: 60 });
      term.open(document.body);
      const socket = new WebSocket(`ws://${location.host}/workspaces/${workspace}/terminal`);
      socket.binaryType = "arraybuffer";
      const lines = () => {
        const { active } = term.buffer;
        return Array.from({ length: active.length }, (_, at) => active.getLine(at)?.translateToString(true) ?? "");
      };
      let news = () => {};
      socket.onmessage = ({ data }) => term.write(typeof data === "string" ? data : new Uint8Array(data), () => news());
      const until = async (holds) => {
        const late = Date.now() + timeout;
        while (!lines().some(holds)) {
          if (Date.now() > late || socket.readyState > WebSocket.OPEN) throw new Error(lines().join("\n"));
          await new Promise((resolve) => {
            news = resolve;
            setTimeout(resolve, 1000);
          });
        }
      };
      await until((line) => /[$#>]\s*$/.test(line));
      socket.send(`${command}\r`);
      await until((line) => line === "all-of-it");
      socket.close();
      return lines();
    },
    { workspace, command: COMMAND, timeout: TIMEOUT },
  );
  await page.close();
  return whole(rows);
}

/** The number of lines that show the whole text, which must be all of them. */
function whole(rows) {
  const end = rows.indexOf("all-of-it");
  const shown = rows.slice(end - LINES, end);
  const wrong = shown.filter((line) => line.trimEnd() !== TEXT);
  must(wrong.length === 0, `characters are missing: ${JSON.stringify(wrong)} of ${JSON.stringify(rows)}`);
  return shown.length;
}
