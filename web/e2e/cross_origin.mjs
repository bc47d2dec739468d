// An application on another origin than its gateway, Canvas for one, with the built client in it: which pages get a terminal,
// shown what, and which do not.
//
// cross_origin.mjs ADDRESS SCREENSHOT_DIR WORKSPACE TOKEN: ADDRESS is where `http://acme.localhost` is served. Prints what came
// of each as one line of JSON.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { TIMEOUT } from "./page.mjs";
import * as site from "./site.mjs";
import { runScenes } from "./run_scenes.mjs";

const [address, shots, workspace, token] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });
const gateway = "acme.localhost";
// What docs/canvas.md says an application must allow its pages.
const policy = `default-src 'self'; connect-src 'self' ws://${gateway} http://${gateway}`;
const elsewhere = await site.start({ "content-security-policy": policy });
const rules = [
  `MAP ${gateway} ${address}`,
  `MAP acme.example ${address}`,
  ...["canvas.acme.localhost", "canvas.localhost", "evil.acme.localhost", "evil.localhost"].map(
    (host) => `MAP ${host} 127.0.0.1:${elsewhere.port}`,
  ),
];
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  headless: true,
  args: ["--no-first-run", `--host-resolver-rules=${rules.join(", ")}`],
});
await runScenes(play, async () => {
  await browser.close();
  await elsewhere.stop();
});

async function play() {
  const asked = { url: `ws://${gateway}/workspaces/${workspace}/terminal`, token };
  const context = await browser.newContext();
  const at = async (host) => {
    const page = await context.newPage();
    await page.goto(`http://${host}/`);
    return page;
  };
  const [sibling, foreign] = [await at("canvas.acme.localhost"), await at("canvas.localhost")];
  const seen = {};
  // By a bearer token, on a sibling host and on another site.
  seen.sibling = await sibling.evaluate(converse, { ...asked, shown: "bearer", ticket: true });
  seen.foreign = await foreign.evaluate(converse, { ...asked, shown: "bearer", ticket: true });
  seen.nobody = await foreign.evaluate(why, { ...asked, shown: "nothing" });
  seen.wrong = await foreign.evaluate(why, { ...asked, token: "mistyped", shown: "bearer" });
  // By a strict cookie: it goes to a sibling's requests and sockets, and to no other site's.
  seen.signedIn = [await foreign.evaluate(signIn, asked), await foreign.evaluate(why, { ...asked, shown: "cookie" })];
  seen.signedIn.push(await sibling.evaluate(signIn, asked), await sibling.evaluate(why, { ...asked, shown: "cookie" }));
  seen.cookie = await sibling.evaluate(converse, { ...asked, shown: "cookie", ticket: true });
  seen.cookieAlone = await sibling.evaluate(converse, { ...asked, shown: "cookie", ticket: false });
  // Pages that are not on the list, one of which the browser gives the cookie to; a ticket that they got hold of is of no use.
  const ticket = await sibling.evaluate(fetchTicket, asked);
  for (const host of ["evil.acme.localhost", "evil.localhost"]) {
    const evil = await at(host);
    seen[host] = [];
    for (const shown of ["bearer", "cookie"]) seen[host].push(await evil.evaluate(why, { ...asked, shown }));
    seen[host].push(await evil.evaluate(bare, { ...asked, ticket }), await evil.evaluate(bare, asked));
    await evil.close();
  }
  seen.stolen = await sibling.evaluate(bare, { ...asked, ticket });
  await context.close();
  seen.plain = await plain();
  return seen;
}

/** The gateway's own page by plain HTTP under a name: its cookie does not count there, and it says so. */
async function plain() {
  const page = await browser.newPage();
  await page.goto(`http://acme.example/#token=${token}`);
  const error = page.locator("#sign-in-error", { hasText: /./ });
  await error.waitFor({ timeout: TIMEOUT });
  await page.screenshot({ path: join(shots, "sign-in-plain.png") });
  return error.innerText();
}

/** In the page: opens a terminal with the client, works in it, and leaves it by `exit`. */
async function converse({ url, token, shown, ticket: wantsTicket }) {
  const { Terminal, refusal, ticket } = await import("/lib/index.js");
  const options = shown === "bearer" ? { headers: { Authorization: `Bearer ${token}` } } : { credentials: "include" };
  return new Promise((resolve) => {
    const text = new TextDecoder();
    const phases = [];
    let output = "";
    let seen = null;
    let exit = null;
    let typed = false;
    const terminal = new Terminal(
      {
        url,
        size: () => ({ cols: 132, rows: 43 }),
        refused: async () => (await refusal(url, options))?.text ?? null,
        ...(wantsTicket ? { ticket: () => ticket(url, options) } : {}),
      },
      {
        output: (bytes, parsed) => {
          output += text.decode(bytes, { stream: true });
          parsed();
          if (!typed && /[$#>] $/.test(output)) {
            typed = true;
            terminal.type("echo size-$(stty size)-''end\r");
          }
          if (seen === null && (seen = output.match(/size-\d+ \d+-end/)?.[0] ?? null) !== null) terminal.type("exit 3\r");
        },
        exit: ({ code }) => (exit = code),
        state: (state) => {
          phases.push(state.phase);
          if (state.phase !== "ended") return;
          terminal.dispose();
          resolve({ phases, seen, exit, text: state.text });
        },
      },
    );
  });
}

/** In the page: why a terminal does not open; null when it does. */
async function why({ url, token, shown }) {
  const { refusal } = await import("/lib/index.js");
  const headers = shown === "bearer" ? { headers: { Authorization: `Bearer ${token}` } } : {};
  const refused = await refusal(url, { ...headers, credentials: shown === "cookie" ? "include" : "omit" });
  return refused && { status: refused.status, why: refused.why };
}

/** In the page: a ticket by the cookie. */
async function fetchTicket({ url }) {
  const { ticket } = await import("/lib/index.js");
  return ticket(url, { credentials: "include" });
}

/** In the page: trades the token for the gateway's cookie; the status. */
async function signIn({ url, token }) {
  const place = new URL("/auth/session", url.replace(/^ws/, "http"));
  const headers = { Authorization: `Bearer ${token}` };
  return (await fetch(place, { method: "POST", credentials: "include", headers })).status;
}

/** In the page: a socket as anybody makes one; `open`, or the code that it is closed with. */
async function bare({ url, ticket }) {
  const socket = new WebSocket(url, ticket === undefined ? ["eicterm.v1"] : ["eicterm.v1", `ticket.${ticket}`]);
  return new Promise((resolve) => {
    socket.onopen = () => {
      resolve("open");
      socket.close();
    };
    socket.onclose = ({ code }) => resolve(code);
  });
}
