// What Canvas's Terminal tab does today, and nothing more: a WebSocket without a subprotocol, each string that xterm.js
// gives is sent as it is, BINARY is written, TEXT is written, no size is sent, and the close is only noticed.
//
// canvas.mjs ADDRESS SCREENSHOT_DIR WORKSPACE TOKEN, of which it takes no screenshot: prints what came of it as one line of JSON.

import { chromium } from "playwright-core";

const [address, , workspace, token] = process.argv.slice(2);
const rules = `--host-resolver-rules=MAP acme.example ${address}`;
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: [rules] });
try {
  const page = await browser.newPage();
  await page.goto("http://acme.example/health");
  const signedIn = await page.evaluate(async (token) => {
    const headers = { Authorization: `Bearer ${token}` };
    return (await fetch("/auth/session", { method: "POST", headers })).status;
  }, token);
  const seen = await page.evaluate(converse, workspace);
  console.log(JSON.stringify({ signedIn, ...seen }));
} finally {
  await browser.close();
}

/** In the page: opens a terminal, works in it, leaves by `exit`. */
async function converse(workspace) {
  const socket = new WebSocket(`ws://acme.example/workspaces/${workspace}/terminal`);
  socket.binaryType = "arraybuffer";
  const text = new TextDecoder();
  const texts = [];
  let screen = "";
  let news = () => {};
  const closed = new Promise((resolve) => {
    socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
  });
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") texts.push(data);
    else screen += text.decode(new Uint8Array(data), { stream: true });
    news();
  };
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("the socket does not open"));
  });
  const until = async (pattern) => {
    const late = setTimeout(() => socket.close(), 20_000);
    while (!pattern.test(screen)) {
      if (socket.readyState !== WebSocket.OPEN) throw new Error(`no ${pattern} in ${screen.slice(-2000)} ${texts}`);
      await new Promise((resolve) => (news = resolve));
    }
    clearTimeout(late);
    const seen = screen.match(pattern)[1];
    screen = "";
    return seen;
  };
  socket.addEventListener("close", () => news());
  // As they are typed: a message a key.
  const type = (line) => [...line, "\r"].forEach((key) => socket.send(key));

  await until(/([$#>]) $/);
  type("echo size-$(stty size)-term-$TERM-");
  const seen = await until(/[\r\n](size-\d+ \d+-term-.*)-\r\n/);
  type("echo caf\u00e9-\u{1f600}-en''d");
  const echoed = await until(/[\r\n](caf.*)-end/);
  // A paste is one message.
  type("stty -echo; echo go''od; wc -c; stty echo");
  await until(/(good)\r\n/);
  socket.send("0123456789abcdef\r".repeat(60_000));
  socket.send("\x04");
  const pasted = await until(/(\d+)\r\n/);
  type("exit 3");
  const close = await closed;
  return { protocol: socket.protocol, extensions: socket.extensions, process: seen, echoed, pasted, texts, close };
}
