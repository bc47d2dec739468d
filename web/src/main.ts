// The page: trade the link's token for a cookie, list the workspaces, open a terminal.

import "@xterm/xterm/css/xterm.css";
import "./style.css";

import { type Workspace, signIn, signOut, workspaces } from "./api";
import { apply, onSystemChange } from "./colours";
import { GatewayError } from "./eicterm/index.js";
import * as keys from "./keys";
import * as settings from "./settings";
import { Tab } from "./tab";
import * as terminals from "./terminals";
import { takeToken } from "./token";
import { showApp, showPlace, showSignIn, showStatus, view } from "./view";
import { fill, isReady, place } from "./workspaces";

/** How often the list is asked for while a workspace is being made, in milliseconds. */
const POLL = 1000;

let known: Workspace[] = [];
let chosen: Workspace | null = null;
let tab: Tab | null = null;
let poll: number | undefined;

async function start(): Promise<void> {
  const token = takeToken(window.location, window.history);
  try {
    if (token === null) await enter();
    else await signInWith(token);
  } catch (error) {
    refused(error);
  }
}

async function signInWith(token: string): Promise<void> {
  await signIn(token);
  await enter().catch((error: unknown) => {
    // The token was good, and the next request did not count as its owner's.
    if (!(error instanceof GatewayError) || error.status !== 401) throw error;
    throw new GatewayError(401, notKept(), error.error);
  });
}

/** A sentence for a cookie that was given and does not count. */
function notKept(): string {
  const { isSecureContext, location } = window;
  return isSecureContext
    ? `The token is good, but the browser does not keep the gateway's cookie. Allow cookies for ${location.host}, and sign in again.`
    : `The token is good, but under ${location.origin} the browser does not tell the gateway whose page asks. Open the page by https, or on this machine by http://localhost.`;
}

/** Shows what may be opened, and opens what was open before, or the only one that there is. */
async function enter(): Promise<void> {
  await refresh();
  settings.rememberSignedIn(true);
  showApp();
  const isThere = known.some((workspace) => workspace.id === chosen?.id);
  if (chosen !== null && !isThere) abandon();
  const [only] = known;
  if (isThere) tab?.reconnect();
  else if (known.length === 1 && only !== undefined) choose(only);
  else view.workspaces.querySelector("button")?.focus();
}

/** Asks for the list again, now and then again until nothing in it is still being made. */
async function refresh(): Promise<void> {
  window.clearTimeout(poll);
  known = await workspaces();
  draw();
  view.noWorkspaces.hidden = known.length > 0;
  const waiting = known.find((workspace) => workspace.id === chosen?.id);
  if (waiting !== undefined && tab === null && isReady(waiting)) open(waiting);
  if (known.some((workspace) => workspace.status === "provisioning")) {
    poll = window.setTimeout(() => void again(), POLL);
  }
}

/** Asks for the list again; a gateway that is away for a moment is asked once more. */
async function again(): Promise<void> {
  try {
    await refresh();
  } catch (error) {
    if (error instanceof GatewayError && error.isPassing) poll = window.setTimeout(() => void again(), POLL);
    else refused(error);
  }
}

function draw(): void {
  fill(view.workspaces, known, chosen?.id ?? null, choose);
}

function choose(workspace: Workspace): void {
  leave();
  chosen = workspace;
  draw();
  showPlace(place(workspace));
  // In a container there is nothing to warn of.
  view.notice.textContent = workspace.container === undefined ? (workspace.note ?? "") : "";
  if (isReady(workspace)) open(workspace);
  else showStatus("connecting", `The workspace is ${workspace.status}.`);
}

function open(workspace: Workspace): void {
  leave();
  showStatus("connecting", "Connecting…");
  tab = new Tab(workspace.id, workspace.name, signedOut, shortcut);
  tab.screen.readAloud = view.reader.getAttribute("aria-pressed") === "true";
}

/** Ends the terminal that is shown. */
function leave(): void {
  closeSearch();
  terminals.hide();
  tab?.dispose();
  tab = null;
}

/** Ends the terminal that is shown, and leaves the choice of another. */
function abandon(): void {
  leave();
  chosen = null;
  draw();
  showPlace("");
  view.notice.textContent = "";
  showStatus("idle", "Choose a workspace.");
}

/** The page's own keys; whether `event` was one. */
function shortcut(event: KeyboardEvent): boolean {
  if (event.key === "Escape" && event.shiftKey) {
    // The way out of the terminal for whoever has no mouse.
    view.find.focus();
    event.preventDefault();
    return true;
  }
  if (!event.ctrlKey || !event.shiftKey) return false;
  switch (event.code) {
    case "KeyF":
      openSearch();
      break;
    case "KeyC":
      copy();
      break;
    case "KeyV":
      // The browser pastes by itself.
      return true;
    default:
      return false;
  }
  event.preventDefault();
  return true;
}

function openSearch(): void {
  if (tab === null) return;
  view.search.hidden = false;
  view.searchText.select();
  view.searchText.focus();
}

function closeSearch(): void {
  if (view.search.hidden) return;
  view.search.hidden = true;
  view.searchCount.textContent = "";
  tab?.screen.endSearch();
  tab?.screen.focus();
}

function copy(): void {
  const text = tab?.screen.selection ?? "";
  if (text === "") return;
  // Where the page is not served safely there is no clipboard, and a person has the browser's own menu.
  void navigator.clipboard?.writeText(text).catch(() => undefined);
}

async function paste(): Promise<void> {
  try {
    const text = await navigator.clipboard.readText();
    tab?.screen.paste(text);
  } catch {
    showStatus("warned", "The browser does not let the page read the clipboard; use its own paste.");
  }
  tab?.screen.focus();
}

function recolour(): void {
  const choice = settings.colours();
  const theme = apply(choice);
  if (tab !== null) tab.screen.theme = theme;
  const name = { auto: "Auto", light: "Light", dark: "Dark" }[choice];
  view.theme.textContent = name;
  view.theme.title = `Colours: ${choice === "auto" ? "as the system" : choice}`;
  view.theme.setAttribute("aria-label", `Colours: ${name}`);
}

/** Shows the sign-in form, with what went wrong; that nobody has signed in yet is no news. */
function refused(error: unknown): void {
  if (!(error instanceof GatewayError)) throw error;
  if (error.isPassing) signedOut(`${error.message} Load the page again in a moment.`);
  else signedOut(error.why === "not-signed-in" ? "" : error.message);
}

/** Shows the sign-in form; what is listed is for those only who are signed in. */
function signedOut(text = ""): void {
  window.clearTimeout(poll);
  terminals.hide();
  showSignIn(text);
}

function toggleTerminals(): void {
  if (terminals.isShown()) {
    terminals.hide();
    view.list.focus();
  } else if (tab !== null) {
    terminals.show(tab.url, () => tab?.session ?? null, signedOut);
  }
}

view.reconnect.addEventListener("click", () => {
  if (tab !== null) tab.reconnect();
  else if (chosen !== null) open(chosen);
});

view.diagnose.addEventListener("click", () => tab?.diagnose());

view.find.addEventListener("click", openSearch);
view.copy.addEventListener("click", () => {
  copy();
  tab?.screen.focus();
});
view.paste.addEventListener("click", () => void paste());
for (const [button, by] of [[view.smaller, -1], [view.larger, 1]] as const) {
  button.addEventListener("click", () => {
    const size = settings.changeFontSize(settings.fontSize(), by);
    if (tab !== null) tab.screen.fontSize = size;
  });
}
view.theme.addEventListener("click", () => {
  settings.nextColours(settings.colours());
  recolour();
});
view.reader.addEventListener("click", () => {
  const aloud = view.reader.getAttribute("aria-pressed") !== "true";
  view.reader.setAttribute("aria-pressed", String(aloud));
  if (tab !== null) tab.screen.readAloud = aloud;
});

view.list.addEventListener("click", toggleTerminals);
view.terminals.addEventListener("keydown", (event) => {
  if (event.key === "Escape") toggleTerminals();
});

view.search.addEventListener("submit", (event) => {
  event.preventDefault();
  tab?.screen.find(view.searchText.value, false);
});
view.searchBack.addEventListener("click", () => tab?.screen.find(view.searchText.value, true));
view.searchClose.addEventListener("click", closeSearch);
view.search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeSearch();
});

view.signIn.addEventListener("submit", (event) => {
  event.preventDefault();
  const token = view.token.value.trim();
  view.signInButton.disabled = true;
  void signInWith(token)
    .catch(refused)
    .finally(() => (view.signInButton.disabled = false));
});

view.signOut.addEventListener("click", () => {
  window.clearTimeout(poll);
  abandon();
  // Whatever the gateway answers, the page forgets.
  settings.rememberSignedIn(false);
  void signOut().then(() => signedOut(), refused);
});

window.addEventListener("online", () => tab?.hurry());

keys.fill(view.keys, (sequence) => tab?.type(sequence));
onSystemChange(recolour);
recolour();
void start();
