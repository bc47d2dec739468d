// The list of the terminals that are open in the workspace: whose, since when, and a way to close them. It is asked for only
// while it is shown, by somebody who sees the page.

import { confirm } from "./dialog";
import { GatewayError, type Session, endSession, sessions } from "./eicterm/index.js";
import { bytes, lasting, printable } from "./text";
import { view } from "./view";

/** How often the list is asked for while it is shown, in milliseconds. */
const EVERY = 5000;

/** The same after a question that was not answered. */
const AFTER_FAILURE = 15_000;

/** Whose terminals are listed. */
interface Listed {
  url: URL;
  /** The session that is open in this page, if one is. */
  mine: () => string | null;
  /** Hears, in a sentence, that the sign-in is over. */
  signedOut: (text: string) => void;
  leaving: AbortController;
  timer?: number;
  /** How many questions were asked: an answer to any but the last is late. */
  asked: number;
}

let listed: Listed | null = null;

/** Who reads the list, as the gateway knows them: whose the terminal in this page is. */
let me: string | null = null;

/** Lists the terminals beside the one at `url`. */
export function show(url: URL, mine: () => string | null, signedOut: (text: string) => void): void {
  hide();
  listed = { url, mine, signedOut, leaving: new AbortController(), asked: 0 };
  view.list.setAttribute("aria-expanded", "true");
  view.terminals.hidden = false;
  view.terminalsTold.textContent = "Asking…";
  void refresh(listed);
}

/** Shows none, and asks no more. */
export function hide(): void {
  if (listed === null) return;
  if (view.closing.open) view.closing.close();
  window.clearTimeout(listed.timer);
  listed.leaving.abort();
  listed = null;
  me = null;
  view.list.setAttribute("aria-expanded", "false");
  view.terminals.hidden = true;
  view.terminalsTold.textContent = "";
  view.terminalsList.replaceChildren();
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
    tell(`${error.message} The list may be out of date.`);
    pause = AFTER_FAILURE;
  }
  if (!document.hidden) of.timer = window.setTimeout(() => void refresh(of), pause);
}

/** Who may not see the list, or not any more, does not see it. */
function denied(error: unknown, of: Listed): void {
  const text = error instanceof Error ? error.message : String(error);
  view.terminalsList.replaceChildren();
  tell(text);
  if (error instanceof GatewayError && error.why === "sign-in-over") {
    hide();
    of.signedOut(text);
  }
}

/** Said once, not at every answer: a screen reader reads it aloud. */
function tell(text: string): void {
  const shown = printable(text);
  if (view.terminalsTold.textContent !== shown) view.terminalsTold.textContent = shown;
}

/** Rows stay as they are, and keep the focus, as long as their terminals are open; new ones come at the end. */
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
  tell(found.length === 0 ? "No terminal is open." : found.length === 1 ? "One terminal is open." : `${found.length} terminals are open.`);
}

/** The focus goes to what comes after it. */
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

/** Asks whether it is meant, and closes the terminal. */
async function ask(session: Session, of: Listed, row: HTMLLIElement): Promise<void> {
  const whose = session.id === of.mine() ? "It is the one in this page." : `It is ${printable(session.user)}'s.`;
  view.closingWhat.textContent = `Terminal ${short(session)}. ${whose} What runs in it is ended, and whoever looks at it is told.`;
  if (!(await confirm(view.closing, "close")) || listed !== of) return;
  row.dataset.closing = "true";
  try {
    await endSession(of.url, session.id, { signal: of.leaving.signal, wasSignedIn: true });
  } catch (error) {
    if (listed !== of) return;
    delete row.dataset.closing;
    if (error instanceof GatewayError && error.isPassing) tell(`It was not closed. ${error.message}`);
    else denied(error, of);
    return;
  }
  if (listed === of) void refresh(of);
}

/** What tells it from others, short enough to read. */
function short(session: Session): string {
  return printable(session.id.slice(0, 8));
}

function span(style: string): HTMLSpanElement {
  const made = document.createElement("span");
  made.className = style;
  return made;
}

// Nobody looks: nothing is asked.
document.addEventListener("visibilitychange", () => {
  if (listed === null) return;
  if (document.hidden) window.clearTimeout(listed.timer);
  else void refresh(listed);
});
