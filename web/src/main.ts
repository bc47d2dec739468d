// The page: trade the link's token for a cookie, list the workspaces, open a terminal.

import "@xterm/xterm/css/xterm.css";
import "./style.css";

import { ApiError, type Workspace, mayOpen, signIn, signOut, workspaces } from "./api";
import { REFUSED } from "./legacy";
import { TerminalView } from "./terminal";
import { takeToken } from "./token";
import { showApp, showSignIn, showStatus, view } from "./view";
import { fill, isReady, place } from "./workspaces";

/** How often the list is asked for while a workspace is being made, in milliseconds. */
const POLL = 1000;

let known: Workspace[] = [];
let chosen: Workspace | null = null;
let terminal: TerminalView | null = null;
let poll: number | undefined;
let clock: number | undefined;

async function start(): Promise<void> {
  const token = takeToken(window.location, window.history);
  try {
    if (token !== null) await signIn(token);
    await refresh();
    showApp();
    const [only] = known;
    if (known.length === 1 && only !== undefined) choose(only);
  } catch (error) {
    refused(error, token !== null);
  }
}

/** Asks for the list again, now and then again until nothing in it is still being made. */
async function refresh(): Promise<void> {
  window.clearTimeout(poll);
  known = await workspaces();
  draw();
  view.noWorkspaces.hidden = known.length > 0;
  const waiting = known.find((workspace) => workspace.id === chosen?.id);
  if (waiting !== undefined && terminal === null && isReady(waiting)) open(waiting);
  if (known.some((workspace) => workspace.status === "provisioning")) {
    poll = window.setTimeout(() => void refresh().catch((error: unknown) => refused(error, false)), POLL);
  }
}

function draw(): void {
  fill(view.workspaces, known, chosen?.id ?? null, choose);
}

function choose(workspace: Workspace): void {
  leave();
  chosen = workspace;
  draw();
  view.where.textContent = place(workspace);
  // In a container there is nothing to warn of.
  view.notice.textContent = workspace.container === undefined ? (workspace.note ?? "") : "";
  if (isReady(workspace)) open(workspace);
  else showStatus("connecting", `The workspace is ${workspace.status}.`);
}

function open(workspace: Workspace): void {
  leave();
  let began = Date.now();
  terminal = new TerminalView(view.terminal);
  showStatus("connecting", "Connecting…");
  terminal.connect(workspace.id, {
    opened() {
      began = Date.now();
      showStatus("open", `Connected to ${workspace.name}`);
      view.elapsed.textContent = "";
      clock = window.setInterval(() => {
        view.elapsed.textContent = duration(Date.now() - began);
      }, 1000);
    },
    closed(ending) {
      window.clearInterval(clock);
      showStatus(ending.clean ? "ended" : "failed", ending.text, true);
      view.reconnect.focus();
      if (ending.text === REFUSED) void explain(workspace);
    },
  });
}

/** Why the gateway refused a terminal: it tells an ordinary request what it cannot tell a WebSocket. */
async function explain(workspace: Workspace): Promise<void> {
  try {
    await mayOpen(workspace.id);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) showSignIn("The session is over. Sign in again.");
    else showStatus("failed", `${REFUSED} ${error.message}`, true);
  }
}

/** Ends the terminal that is shown. */
function leave(): void {
  window.clearInterval(clock);
  view.elapsed.textContent = "";
  terminal?.dispose();
  terminal = null;
}

/** `m:ss` */
function duration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Shows the sign-in form where that helps, else the error; `told` whether a wrong token is news. */
function refused(error: unknown, told: boolean): void {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof ApiError)) throw error;
  const unknown = error.status === 401;
  showSignIn(unknown && !told ? "" : unknown ? "That token opens nothing here." : message);
}

view.reconnect.addEventListener("click", () => {
  if (chosen !== null) open(chosen);
});

view.signIn.addEventListener("submit", (event) => {
  event.preventDefault();
  const token = view.token.value.trim();
  void (async () => {
    try {
      await signIn(token);
      await refresh();
      showApp();
    } catch (error) {
      refused(error, true);
    }
  })();
});

view.signOut.addEventListener("click", () => {
  window.clearTimeout(poll);
  leave();
  chosen = null;
  showStatus("idle", "Choose a workspace.");
  // Whatever the gateway answers, the page forgets.
  void signOut().then(() => showSignIn(), (error: unknown) => refused(error, false));
});

void start();
