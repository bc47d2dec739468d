// What the page must do, one scene each. A scene gets a page whose terminal is open.

import { join } from "node:path";

import { accessible, contrasts } from "./accessible.mjs";
import { TIMEOUT, must, row, run, size, status, type } from "./page.mjs";

/** The first prompt, and what the tutorial types. */
export async function tutorial({ page, workspace, shots }) {
  await type(page, "whoami");
  await row(page, /^[a-z_][a-z0-9_-]*$/);
  await type(page, "df -h /");
  await row(page, /Mounted on/);
  await type(page, "echo $MOLECULE_WS_ID");
  await row(page, new RegExp(`^${workspace}$`));
  await page.locator("#latency:not([hidden])").waitFor({ timeout: TIMEOUT });
  await page.screenshot({ path: join(shots, "terminal.png") });
  return { user: await run(page, "whoami") };
}

/** The terminal has the page's size from the start, and follows it; every row and column of it is to be seen. */
export async function resize({ page }) {
  const shown = await size(page);
  const fits = await page.evaluate(() => {
    const place = document.getElementById("terminal").getBoundingClientRect();
    const cells = document.querySelector(".xterm-screen").getBoundingClientRect();
    return cells.bottom <= place.bottom && cells.right <= place.right;
  });
  must(fits, "the last row or column is cut off");
  const [cols, rows] = shown.split("x");
  must((await run(page, "stty size")) === `${rows} ${cols}`, `stty does not say ${shown}`);
  await page.setViewportSize({ width: 800, height: 560 });
  await page.locator("#size", { hasNotText: shown.replace("x", "×") }).waitFor({ timeout: TIMEOUT });
  const [narrow, low] = (await size(page)).split("x");
  // The new size and the input are sent concurrently: repeat until it has arrived.
  await type(page, `until [ "$(stty size)" = "${low} ${narrow}" ]; do :; done; echo is-''resized`);
  await row(page, /^is-resized$/);
  await page.setViewportSize({ width: 1120, height: 700 });
}

/** A program that draws the whole screen, and the shell behind it. */
export async function fullScreen({ page, shots }) {
  await type(page, "vi /tmp/eice-scene-$$; echo out-of-''the-editor");
  await row(page, /^~\s*$/);
  await page.keyboard.type("iwritten in an editor");
  await row(page, /^written in an editor\s*$/);
  await page.screenshot({ path: join(shots, "editor.png") });
  await page.keyboard.press("Escape");
  // busybox's editor takes what comes right behind it for a key's sequence, and says `I` until it does not.
  await page.locator(".xterm-rows > div", { hasText: /^I \/tmp/ }).waitFor({ state: "detached", timeout: TIMEOUT });
  await page.keyboard.type(":wq\n");
  // Until then an editor may throw away what is typed.
  await row(page, /^out-of-the-editor\s*$/);
  must((await run(page, "cat /tmp/eice-scene-$$; rm /tmp/eice-scene-$$")) === "written in an editor", "it was not written");
}

/** 10 MB of output come through to their end, and Ctrl-C stops what never ends. */
export async function flood({ page }) {
  must((await run(page, "yes 0123456789abcdef0123456789abcdef0123456789abcdef01 | head -c 10000000; echo; echo all-of-it")) === "all-of-it", "the end is missing");
  await type(page, "yes");
  await row(page, /^y$/);
  await page.keyboard.press("Control+c");
  must((await run(page, "echo stopped")) === "stopped", "Ctrl-C did not stop it");
}

/** 1 MB pasted is 1 MB received. */
export async function paste({ page }) {
  // Whole lines: a terminal hands on no other.
  const line = "0123456789abcdef\n";
  const length = line.length * 58_824;
  // The shell itself must be out of the way before anything is pasted.
  await type(page, `stty -echo; echo is-''ready; head -c ${length} | sha256sum; stty echo`);
  await row(page, /^is-ready$/);
  await page.evaluate((text) => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    const area = document.querySelector(".xterm-helper-textarea");
    area.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  }, line.repeat(length / line.length));
  const rows = await row(page, /^[0-9a-f]{64} +-$/);
  const seen = rows.find((text) => /^[0-9a-f]{64} +-$/.test(text));
  // Line ends of a paste are carriage returns, which the instance's terminal converts back.
  const expected = await run(page, `yes 0123456789abcdef | head -c ${length} | sha256sum`);
  must(seen === expected, `pasted ${seen}, not ${expected}`);
}

/** Find, font size, colors, a link that leads nowhere but to the web. */
export async function tools({ page, shots }) {
  await run(page, "echo needle-one; echo needle-two");
  const before = await size(page);
  await page.keyboard.press("Control+Shift+F");
  await page.locator("#search-text").fill("needle-");
  await page.keyboard.press("Enter");
  await page.locator("#search-count", { hasText: /^\d+ of \d+$/ }).waitFor({ timeout: TIMEOUT });
  await accessible(page, "the search");
  await page.screenshot({ path: join(shots, "search.png") });
  await page.keyboard.press("Escape");
  // The bar is gone, and the terminal has its room again.
  const has = (text) => page.locator("#size", { hasText: text.replace("x", "×") });
  await has(before).waitFor({ timeout: TIMEOUT });
  await page.locator("#larger").click();
  await page.locator("#larger").click();
  must((await size(page)) !== before, "a larger font leaves the size as it was");
  await page.locator("#smaller").click();
  await page.locator("#smaller").click();
  await has(before).waitFor({ timeout: TIMEOUT });
  await page.locator("#theme").click();
  await page.locator("html[data-colors=light]").waitFor({ timeout: TIMEOUT });
  await page.screenshot({ path: join(shots, "light.png") });
  await page.locator("#theme").click();
  await page.locator("#theme").click();
  // Out of the terminal by the keyboard alone.
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.press("Shift+Escape");
  must((await page.evaluate(() => document.activeElement?.id)) === "find", "Shift+Escape does not leave the terminal");
}

/** The end of the shell is shown with its status, and a click opens a new one. */
export async function exit({ page, shots }) {
  await type(page, "exit 3");
  await status(page, "The shell ended with status 3.");
  await page.screenshot({ path: join(shots, "ended.png") });
  await page.locator("#reconnect").click();
  await status(page, "Connected to");
  must((await run(page, "echo again-$((1+1))")) === "again-2", "the second shell does not answer");
}

/** A broken connection is restored automatically, and input for the old shell does not run in the new one. */
export async function drop({ page, proxy, shots }) {
  await run(page, "old=shell");
  proxy.refuse = true;
  proxy.cut();
  await status(page, "Trying again");
  await page.screenshot({ path: join(shots, "broken.png") });
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type("echo typed-into-nothing\n");
  proxy.refuse = false;
  await status(page, "Connected to");
  const answer = await run(page, 'echo "new:$old:"');
  must(answer === "new::", `the new shell answered ${answer}`);
  const rows = await page.locator(".xterm-rows > div").allInnerTexts();
  must(!rows.some((text) => text.includes("typed-into-nothing")), "what was typed into nothing was run");
}

/** Two tabs have a shell each. */
export async function twoTabs({ page, open }) {
  const other = await open();
  await run(page, "mine=first");
  await run(other, "mine=second");
  must((await run(page, "echo $mine")) === "first", "the tabs share a shell");
  must((await run(other, "echo $mine")) === "second", "the tabs share a shell");
  await other.close();
}

/** A phone: 400 pixels, a finger. Everything is there, and nothing is wider than the screen. */
export async function phone({ open, shots }) {
  const page = await open({ width: 400, height: 780 }, { hasTouch: true, isMobile: true });
  await run(page, "echo on-a-phone");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  must(wide <= 400, `the page is ${wide} pixels wide`);
  await page.locator("#keys button", { hasText: "^C" }).waitFor({ timeout: TIMEOUT });
  const up = page.locator("#keys button[aria-label=Up]");
  await up.tap();
  // The command itself, and again from the shell's history.
  const typed = page.locator(".xterm-rows > div", { hasText: /echo on-a-phone; *echo/ });
  await typed.nth(1).waitFor({ timeout: TIMEOUT });
  must(
    await page.locator(".xterm-helper-textarea").evaluate((area) => area === document.activeElement),
    "a key of the bar takes the focus from the terminal",
  );
  // By a keyboard, as by a screen reader.
  await page.locator("#keys button", { hasText: "^C" }).focus();
  await page.keyboard.press("Enter");
  await row(page, /\^C$/);
  await accessible(page, "the terminal on a phone");
  await page.screenshot({ path: join(shots, "phone.png") });
  await page.context().close();
}

/** Each way in which the gateway closes a socket, in words. */
export async function closeCodes({ fresh, address }) {
  const expected = [
    [1000, "The shell ended."],
    [1009, "a message too large"],
    [1011, "Trying again"],
    [4400, "bad frame"],
    [4403, "You may not open this workspace any more."],
    [4404, "The terminal was ended, or is not there any more."],
    [4408, "idle for too long"],
    [4409, "opened elsewhere"],
    [4410, "as long as one may be"],
    [4500, "upstream"],
    [1001, "restarting"],
    [1012, "restarting"],
    [4429, "No more terminals may be opened now. Trying again"],
  ];
  const page = await fresh();
  let close;
  // A socket whose gateway is this script: it greets, prints a prompt, and closes.
  await page.routeWebSocket(/\/terminal$/, (socket) => {
    socket.onMessage(() => {
      const limits = { max_frame: 65_536, window: 524_288, in_window: 1_048_576 };
      const hello = { t: "hello", v: 1, session: "s", resume_token: null, out_off: 0, in_off: 0, limits, caps: {} };
      socket.send(JSON.stringify(hello));
      socket.send(Buffer.from("$ "));
      socket.close(close);
    });
  });
  for (const [code, text] of expected) {
    close = { code, reason: [1009, 4400, 4500].includes(code) ? text : "" };
    await page.goto(address);
    const line = page.locator("#status", { hasText: text });
    await line.waitFor({ timeout: TIMEOUT }).catch(async () => {
      throw new Error(`${code}: ${await page.locator("#status").innerText()}`);
    });
  }
  // Who is not known any more is asked to sign in, and is in again by that alone.
  close = { code: 4401, reason: "" };
  await page.goto(address);
  await page.locator("#sign-in-error", { hasText: "Your sign-in is over. Sign in again." }).waitFor({ timeout: TIMEOUT });
  await page.close();
}

/**
 * No sign-in, a wrong token, a sign-in that is over at a visit and one that ends under an open terminal: each is reported, and
 * signing in is the way out of all of them, back into the terminal that was open.
 */
export async function signIns({ device, link, address, shots }) {
  const token = new URLSearchParams(new URL(link).hash.slice(1)).get("token");
  const page = await device({ width: 1120, height: 700 });
  const reported = async (text) => {
    const error = page.locator("#sign-in:not([hidden]) #sign-in-error");
    await error.filter({ hasText: text }).waitFor({ state: "attached", timeout: 2 * TIMEOUT }).catch(async () => {
      throw new Error(`no sign-in form that says ${text}: ${await page.locator("body").innerText()}`);
    });
    must((await page.evaluate(() => document.activeElement?.id)) === "token", "the form does not wait for a token");
  };
  const signIn = async (text) => {
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
  };

  await page.goto(address);
  await reported(/^$/);
  await signIn("mistyped");
  await reported(/^The access token opens nothing here: .*ask the operator for a new one\.$/);
  await accessible(page, "the sign-in form");
  await page.emulateMedia({ colorScheme: "light" });
  await page.locator("html[data-colors=light]").waitFor({ timeout: TIMEOUT });
  await accessible(page, "the sign-in form in light colors");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.locator("html[data-colors=dark]").waitFor({ timeout: TIMEOUT });
  await page.screenshot({ path: join(shots, "sign-in-wrong.png") });
  // The page itself is the same to a browser, whatever the fragment: it is left first.
  await page.goto("about:blank");
  await page.goto(`${address}#token=made-up`);
  await reported(/^The access token opens nothing here/);
  await signIn(token);
  await page.locator(".entry").first().click();
  await status(page, "Connected to");

  // Over while the page is closed: reported at the next visit, once.
  const over = /^Your sign-in is over: .*Sign in again\.$/;
  const elsewhere = await page.context().newPage();
  await elsewhere.goto(`${address}favicon.svg`);
  const end = () => elsewhere.evaluate(async () => (await fetch("/auth/session", { method: "DELETE" })).status);
  await page.goto("about:blank");
  must((await end()) === 204, "signing out elsewhere fails");
  await page.goto(address);
  await reported(over);
  await signIn(token);
  await page.locator(".entry").first().click();
  await status(page, "Connected to");

  // Over while a terminal is open: the gateway ends it.
  await end();
  await reported(over);
  await page.screenshot({ path: join(shots, "sign-in-over.png") });
  await signIn(token);
  await status(page, "Connected to");
  must((await run(page, "echo back-$((1+1))")) === "back-2", "the terminal is not there again");
  await page.locator("#sign-out").click();
  await reported(/^$/);
  await page.context().close();
}

/** The system's colors, light and dark, from the first moment on and when they change; every color of text can be read. */
export async function colors({ open, shots }) {
  const page = await open({ width: 900, height: 560 }, {});
  const line = "\\033[3${i}mplain$i \\033[9${i}mbright$i \\033[1;3${i}mbold$i\\033[0m\\n";
  await run(page, `for i in 0 1 2 3 4 5 6 7; do printf "${line}"; done`);
  const ground = (of) => page.locator(of).evaluate((found) => getComputedStyle(found).backgroundColor);
  /** How light the color `rgb(r, g, b)` is, 0 to 255. */
  const light = (color) => color.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
  for (const [scheme, fits] of [["dark", (of) => of < 60], ["light", (of) => of > 230], ["dark", (of) => of < 60]]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.locator(`html[data-colors=${scheme}]`).waitFor({ timeout: TIMEOUT });
    for (const of of ["body", "#terminal", ".xterm-viewport"]) {
      must(fits(light(await ground(of))), `in ${scheme} colors ${of} is ${await ground(of)}`);
    }
    await accessible(page, `the terminal in ${scheme} colors`);
    const words = await contrasts(page);
    must(words.length === 24, `not every color is shown: ${JSON.stringify(words)}`);
    const poor = words.filter(([, contrast]) => contrast < 4.5);
    must(poor.length === 0, `in ${scheme} colors these have too little contrast: ${JSON.stringify(poor)}`);
    await page.screenshot({ path: join(shots, `colors-${scheme}.png`) });
  }
  await page.context().close();
}

/** In the order in which they are played. */
export const all = {
  tutorial, resize, fullScreen, flood, paste, tools, colors, exit, drop, twoTabs, phone, closeCodes, signIns,
};
