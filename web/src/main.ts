// The page: signs in, lists the workspaces, and opens a terminal.

import "@xterm/xterm/css/xterm.css";
import "./style.css";

import { type Workspace, identity, signIn, signOut, workspaces } from "./api";
import { apply, onSystemChange } from "./colors";
import { confirm } from "./dialog";
import { GatewayError } from "./eicterm/index.js";
import * as keys from "./keys";
import { type Link, show as showInAddress, take as takeLink } from "./link";
import { type Outcome, follow } from "./session";
import * as settings from "./settings";
import { Tab } from "./tab";
import * as terminals from "./terminals";
import { printable } from "./text";
import { showApp, showNoWorkspace, showSignIn, showStatus, showWorkspace, view } from "./view";
import { fill, isReady, place } from "./workspaces";

/** How often the list is requested while a workspace is being provisioned, in milliseconds. */
const POLL = 1000;

let known: Workspace[] = [];
let chosen: Workspace | null = null;
let tab: Tab | null = null;
/** The name that the page shows as signed in. */
let shownName: string | null = null;
let poll: number | undefined;

async function start(): Promise<void> {
  const link = takeLink(window.location, window.history);
  await arrive(link).catch(refused);
}

/** Signs in as the address says, and shows what can be opened. */
async function arrive({ token, workspace }: Link): Promise<void> {
  if (token === null) {
    await enter(workspace);
    return;
  }
  let outcome: Outcome;
  try {
    outcome = await follow(token, abandon);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    // A session from before stays.
    await enter(null).catch(() => {
      throw error;
    });
    view.notice.textContent = `The link did not sign you in. ${error.message}`;
    return;
  }
  if (outcome === "replaced") {
    // Nothing opens but what the visitor chooses, after a reload either.
    abandon();
    await afterSignIn(showList);
  } else await afterSignIn(() => enter(outcome === "declined" ? null : workspace));
}

async function signInWith(token: string): Promise<void> {
  await signIn(token);
  await afterSignIn(() => enter(null));
}

/** Runs `show` after a sign-in, with an explanation if its cookie does not count. */
async function afterSignIn(show: () => Promise<void>): Promise<void> {
  await show().catch((error: unknown) => {
    if (!(error instanceof GatewayError) || error.status !== 401) throw error;
    throw new GatewayError(401, notKept(), error.error);
  });
}

/** Explains a cookie that was set and is not accepted. */
function notKept(): string {
  const { isSecureContext, location } = window;
  return isSecureContext
    ? `The token is good, but the browser does not keep the gateway's cookie. Allow cookies for ${location.host}, and sign in again.`
    : `The token is good, but under ${location.origin} the browser does not send the gateway the origin of the page. Open the page by https, or on this machine by http://localhost.`;
}

/** Shows the list, and opens the workspace from before, `wanted`, or the only one there is. */
async function enter(wanted: string | null): Promise<void> {
  await showList();
  const find = (id: string | null | undefined) => known.find((workspace) => workspace.id === id);
  if (chosen !== null && find(chosen.id) === undefined) abandon();
  const only = known.length === 1 ? known[0] : undefined;
  const workspace = find(wanted) ?? only;
  if (chosen !== null && (workspace === undefined || workspace.id === chosen.id)) tab?.reconnect();
  else if (workspace !== undefined) await choose(workspace);
  else if (wanted !== null) view.notice.textContent = "The address names a workspace that does not exist, or that you may not open.";
}

/** Shows who is signed in and the list of workspaces, and opens none. */
async function showList(): Promise<void> {
  const [{ name }] = await Promise.all([identity(), refresh()]);
  settings.rememberSignedIn(true);
  const usedForm = view.signIn.contains(document.activeElement);
  showApp(name);
  shownName = name;
  if (chosen !== null) return;
  // For the keyboard that the form was filled in with. Otherwise a focus ring would look like a choice.
  if (usedForm) view.workspaces.querySelector("button")?.focus();
}

/** Shows who is signed in now, which another tab may have changed. Nothing of the user before stays open. */
async function checkIdentity(): Promise<void> {
  if (shownName === null) return;
  const { name } = await identity();
  if (name === shownName) return;
  abandon();
  await showList();
  view.notice.textContent = `Another tab signed in as ${printable(name)}.`;
}

/** Requests the list, and again until no workspace is being provisioned. */
async function refresh(): Promise<void> {
  window.clearTimeout(poll);
  known = await workspaces();
  draw();
  if (chosen === null) showNoWorkspace(known.length);
  const waiting = known.find((workspace) => workspace.id === chosen?.id);
  if (waiting !== undefined && tab === null && isReady(waiting)) open(waiting);
  if (known.some((workspace) => workspace.status === "provisioning")) {
    poll = window.setTimeout(() => void again(), POLL);
  }
}

/** Requests the list again, and retries if the gateway is away for a moment. */
async function again(): Promise<void> {
  try {
    await refresh();
  } catch (error) {
    if (error instanceof GatewayError && error.isPassing) poll = window.setTimeout(() => void again(), POLL);
    else refused(error);
  }
}

function draw(): void {
  fill(view.workspaces, known, chosen?.id ?? null, (workspace) => void choose(workspace));
}

async function choose(workspace: Workspace): Promise<void> {
  if (workspace.id === chosen?.id && tab !== null) {
    tab.reconnect();
    tab.screen.focus();
    return;
  }
  if (!(await mayLeave())) {
    showInAddress(chosen?.id ?? null, window.location, window.history);
    return;
  }
  leave();
  chosen = workspace;
  draw();
  showInAddress(workspace.id, window.location, window.history);
  showWorkspace(workspace.name, place(workspace));
  // The note warns of a shell outside a container.
  view.notice.textContent = workspace.container === undefined ? (workspace.note ?? "") : "";
  if (isReady(workspace)) open(workspace);
  else showStatus("connecting", `The workspace is ${workspace.status}.`);
}

function open(workspace: Workspace): void {
  leave();
  showStatus("connecting", "Connecting…");
  tab = new Tab(workspace.id, workspace.name, signedOut, () => void checkIdentity().catch(refused), shortcut);
  tab.screen.readAloud = view.reader.getAttribute("aria-pressed") === "true";
}

/** Asks before a running shell ends; whether it may. */
async function mayLeave(): Promise<boolean> {
  if (chosen === null || tab === null || tab.session === null) return true;
  view.leavingWhat.textContent = `The shell in ${printable(chosen.name)} is running. Opening another workspace ends it, and what runs in it.`;
  return confirm(view.leaving, "leave");
}

/** Closes the terminal. */
function leave(): void {
  closeSearch();
  terminals.hide();
  tab?.dispose();
  tab = null;
}

/** Closes the terminal and clears the choice. */
function abandon(): void {
  leave();
  chosen = null;
  draw();
  showInAddress(null, window.location, window.history);
  showNoWorkspace(known.length);
  view.notice.textContent = "";
  showStatus("idle", "No terminal is open.");
}

/** Handles the page's own shortcuts; returns whether `event` was one. */
function shortcut(event: KeyboardEvent): boolean {
  if (event.key === "Escape" && event.shiftKey) {
    // Leaves the terminal by keyboard.
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
      // The browser pastes on its own.
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
  // An insecure page has no clipboard API; the browser's own menu still works.
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

function recolor(): void {
  const choice = settings.colors();
  const theme = apply(choice);
  if (tab !== null) tab.screen.theme = theme;
  view.theme.textContent = `Colors: ${choice}`;
  view.theme.title = choice === "auto" ? "Colors as the system has them" : `Colors: ${choice}`;
}

/** Shows the sign-in form with the error, unless it is only a missing sign-in. */
function refused(error: unknown): void {
  if (!(error instanceof GatewayError)) throw error;
  if (error.isPassing) signedOut(`${error.message} Load the page again in a moment.`);
  else signedOut(error.why === "not-signed-in" ? "" : error.message);
}

/** Shows the sign-in form in place of everything that needs a sign-in. */
function signedOut(text = ""): void {
  window.clearTimeout(poll);
  terminals.hide();
  shownName = null;
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
  settings.nextColors(settings.colors());
  recolor();
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
  // Also if the gateway does not answer.
  settings.rememberSignedIn(false);
  void signOut().then(() => signedOut(), refused);
});

window.addEventListener("online", () => tab?.hurry());

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  void checkIdentity().catch((error: unknown) => {
    if (!(error instanceof GatewayError) || !error.isPassing) refused(error);
  });
});

window.addEventListener("beforeunload", (event) => {
  if (tab !== null && tab.session !== null) event.preventDefault();
});

// A link that is opened in this tab changes the fragment only.
window.addEventListener("hashchange", () => {
  const link = takeLink(window.location, window.history);
  void arrive(link).catch(refused);
});

keys.fill(view.keys, (sequence) => tab?.type(sequence));
onSystemChange(recolor);
recolor();
void start();
