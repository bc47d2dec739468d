// The page's elements, looked up once. A missing one is a bug of the build.

import { printable } from "./text";

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

export const view = {
  app: element("app"),
  notice: element("notice"),
  who: element("who"),
  signOut: element<HTMLButtonElement>("sign-out"),
  workspaces: element<HTMLUListElement>("workspaces"),
  terminal: element("terminal"),
  empty: element("empty"),
  where: element("where"),
  whereName: element("where-name"),
  wherePlace: element("where-place"),
  tools: element("tools"),
  find: element<HTMLButtonElement>("find"),
  copy: element<HTMLButtonElement>("copy"),
  paste: element<HTMLButtonElement>("paste"),
  smaller: element<HTMLButtonElement>("smaller"),
  larger: element<HTMLButtonElement>("larger"),
  theme: element<HTMLButtonElement>("theme"),
  reader: element<HTMLButtonElement>("reader"),
  list: element<HTMLButtonElement>("list"),
  terminals: element("terminals"),
  terminalsStatus: element("terminals-status"),
  terminalsList: element<HTMLUListElement>("terminals-list"),
  closing: element<HTMLDialogElement>("closing"),
  closingWhat: element("closing-what"),
  replacing: element<HTMLDialogElement>("replacing"),
  replacingWhat: element("replacing-what"),
  replacingKeep: element("replacing-keep"),
  replacingAgree: element("replacing-agree"),
  leaving: element<HTMLDialogElement>("leaving"),
  leavingWhat: element("leaving-what"),
  search: element<HTMLFormElement>("search"),
  searchText: element<HTMLInputElement>("search-text"),
  searchCount: element("search-count"),
  searchBack: element<HTMLButtonElement>("search-back"),
  searchClose: element<HTMLButtonElement>("search-close"),
  keys: element("keys"),
  details: element("details"),
  failure: element("failure"),
  hint: element("hint"),
  request: element("request"),
  stages: element("stages"),
  diagnose: element<HTMLButtonElement>("diagnose"),
  diagnosis: element("diagnosis"),
  verdict: element("verdict"),
  steps: element("steps"),
  others: element("others"),
  othersCount: element("others-count"),
  otherSteps: element("other-steps"),
  latency: element("latency"),
  size: element("size"),
  dot: element("dot"),
  status: element("status"),
  elapsed: element("elapsed"),
  reconnect: element<HTMLButtonElement>("reconnect"),
  signIn: element<HTMLFormElement>("sign-in"),
  token: element<HTMLInputElement>("token"),
  signInError: element("sign-in-error"),
  signInButton: element<HTMLButtonElement>("sign-in-button"),
};

export type Phase = "idle" | "connecting" | "open" | "warned" | "ended" | "failed";

/** Shows the terminal's state; `reconnect` offers to open it again. */
export function showStatus(phase: Phase, text: string, reconnect = false): void {
  view.dot.dataset.phase = phase;
  view.status.textContent = text;
  view.reconnect.hidden = !reconnect;
}

/** Shows the chosen workspace's name, where its shell runs, and the terminal's tools. */
export function showWorkspace(name: string, place: string): void {
  view.whereName.textContent = printable(name);
  view.wherePlace.textContent = printable(place);
  view.wherePlace.title = printable(place);
  view.where.hidden = false;
  view.tools.hidden = false;
  view.empty.hidden = true;
  view.terminal.hidden = false;
  document.title = `${printable(name)} · eice`;
}

/** Shows what to do while none of `count` workspaces is chosen. */
export function showNoWorkspace(count: number): void {
  view.where.hidden = true;
  view.tools.hidden = true;
  view.terminal.hidden = true;
  view.empty.hidden = false;
  view.empty.textContent =
    count === 0
      ? "There is no workspace you may open. Ask the operator of this gateway for access, or sign in with another token."
      : "Choose a workspace from the list to open a terminal in it.";
  document.title = "eice";
}

/** Shows the sign-in form, with what went wrong. */
export function showSignIn(error = ""): void {
  view.app.hidden = true;
  view.who.hidden = true;
  view.signOut.hidden = true;
  view.signIn.hidden = false;
  view.signInError.textContent = error;
  view.token.value = "";
  view.token.focus();
}

/** Shows the workspaces in place of the sign-in form, and who is signed in. */
export function showApp(name: string): void {
  view.signIn.hidden = true;
  view.app.hidden = false;
  view.who.textContent = `Signed in as ${printable(name)}`;
  view.who.hidden = false;
  view.signOut.hidden = false;
}
