// The list of the open terminals of the workspace, with a button to close each. It is requested only while it is shown and the
// page is visible.

import { confirm } from "./dialog";
import { GatewayError, type Session, endSession, sessions } from "./eicterm/index.js";
import { bytes, lasting, printable } from "./text";
import { view } from "./view";

/** How often the list is requested while it is shown, in milliseconds. */
const EVERY = 5000;

/** The same after a failed request. */
const AFTER_FAILURE = 15_000;

/** The list that is shown. */
interface Listed {
  url: URL;
  /** The session that is open in this page, if one is. */
  mine: () => string | null;
  /** Called with a message when the sign-in is over. */
  signedOut: (text: string) => void;
  leaving: AbortController;
  timer?: number;
  /** The number of requests; only the answer to the last one counts. */
  asked: number;
}

let listed: Listed | null = null;

/** The user of the terminal in this page. */
let me: string | null = null;

/** Lists the terminals of the workspace whose terminal is at `url`. */
export function show(url: URL, mine: () => string | null, signedOut: (text: string) => void): void {
  hide();
  listed = { url, mine, signedOut, leaving: new AbortController(), asked: 0 };
  view.list.setAttribute("aria-expanded", "true");
  view.terminals.hidden = false;
  view.terminalsStatus.textContent = "Asking…";
  void refresh(listed);
}

/** Hides the list and stops requesting it. */
export function hide(): void {
  if (listed === null) return;
  if (view.closing.open) view.closing.close();
  window.clearTimeout(listed.timer);
  listed.leaving.abort();
  listed = null;
  me = null;
  view.list.setAttribute("aria-expanded", "false");
  view.terminals.hidden = true;
  view.terminalsStatus.textContent = "";
  view.terminalsList.replaceChildren();
}

/** Requests the list now, if it is shown: a terminal of this page ended. */
export function refreshNow(): void {
  if (listed !== null && !document.hidden) void refresh(listed);
}

export function isShown(): boolean {
  return listed !== null;
}

async function refresh(of: Listed): Promise<void> {
  window.clearTimeout(of.timer);
  const question = (of.asked += 1);
  let pause = EVERY;
  try {
    const found = await sessions(of.url, { signal: of.leaving.signal, wasSignedIn: true });
    if (listed !== of || question !== of.asked) return;
    draw(found, of);
  } catch (error) {
    if (listed !== of || question !== of.asked) return;
    if (!(error instanceof GatewayError) || !error.isPassing) {
      denied(error, of);
      return;
    }
    announce(`${error.message} The list may be out of date.`);
    pause = AFTER_FAILURE;
  }
  if (!document.hidden) of.timer = window.setTimeout(() => void refresh(of), pause);
}

/** Empties the list for a user who may not see it. */
function denied(error: unknown, of: Listed): void {
  const text = error instanceof Error ? error.message : String(error);
  view.terminalsList.replaceChildren();
  announce(text);
  if (error instanceof GatewayError && error.why === "sign-in-over") {
    hide();
    of.signedOut(text);
  }
}

/** Shows a status once, not with every answer, because a screen reader reads it aloud. */
function announce(text: string): void {
  const shown = printable(text);
  if (view.terminalsStatus.textContent !== shown) view.terminalsStatus.textContent = shown;
}

/** Updates the rows in place, so that they keep the focus; new ones are appended. */
function draw(found: readonly Session[], of: Listed): void {
  const mine = of.mine();
  me = found.find(({ id }) => id === mine)?.user ?? me;
  const rows = new Map([...view.terminalsList.querySelectorAll("li")].map((row) => [row.dataset.session, row]));
  for (const session of found) {
    const row = rows.get(session.id) ?? view.terminalsList.appendChild(made(session, of));
    rows.delete(session.id);
    update(row, session, mine);
  }
  for (const row of rows.values()) remove(row);
  announce(found.length === 0 ? "No terminal is open." : found.length === 1 ? "One terminal is open." : `${found.length} terminals are open.`);
}

/** Removes a row and moves its focus to the next one. */
function remove(row: HTMLLIElement): void {
  const heir = (row.nextElementSibling ?? row.previousElementSibling)?.querySelector("button") ?? view.list;
  const hadFocus = row.contains(document.activeElement);
  row.remove();
  if (hadFocus) heir.focus();
}

function made(session: Session, of: Listed): HTMLLIElement {
  const row = document.createElement("li");
  row.dataset.session = session.id;
  const what = document.createElement("div");
  what.append(...["name", "mark", "faint"].map(span));
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.setAttribute("aria-label", `Close terminal ${short(session)} of ${printable(session.user)}`);
  close.addEventListener("click", () => void ask(session, of, row));
  row.append(what, close);
  return row;
}

function update(row: HTMLLIElement, session: Session, mine: string | null): void {
  const since = new Date(Date.now() - session.age_secs * 1000);
  const time = session.age_secs < 12 * 3600 ? since.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : since.toLocaleDateString();
  const mark = session.id === mine ? "this one" : session.user === me ? "yours" : "";
  const texts = [
    `${printable(session.user)} · ${short(session)}`,
    mark,
    `since ${time} (${lasting(session.age_secs)}) · ${bytes(session.input_bytes)} typed, ${bytes(session.output_bytes)} printed`,
  ];
  row.dataset.mark = mark;
  for (const [at, part] of row.querySelectorAll("span").entries()) {
    const text = texts[at] ?? "";
    if (part.textContent !== text) part.textContent = text;
    part.hidden = text === "";
  }
}

/** Closes the terminal after a confirmation. */
async function ask(session: Session, of: Listed, row: HTMLLIElement): Promise<void> {
  const whose = session.id === of.mine() ? "It is the one in this page." : `It is ${printable(session.user)}'s.`;
  view.closingWhat.textContent = `Terminal ${short(session)}. ${whose} What runs in it ends, and its viewer is notified.`;
  if (!(await confirm(view.closing, "close")) || listed !== of) return;
  row.dataset.closing = "true";
  try {
    await endSession(of.url, session.id, { signal: of.leaving.signal, wasSignedIn: true });
  } catch (error) {
    if (listed !== of) return;
    delete row.dataset.closing;
    if (error instanceof GatewayError && error.isPassing) announce(`It was not closed. ${error.message}`);
    else denied(error, of);
    return;
  }
  if (listed === of) void refresh(of);
}

/** Returns a short id that distinguishes it from others. */
function short(session: Session): string {
  return printable(session.id.slice(0, 8));
}

function span(style: string): HTMLSpanElement {
  const made = document.createElement("span");
  made.className = style;
  return made;
}

// A hidden page requests nothing.
document.addEventListener("visibilitychange", () => {
  if (listed === null) return;
  if (document.hidden) window.clearTimeout(listed.timer);
  else void refresh(listed);
});
