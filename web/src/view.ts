// The page's elements, found once; a missing one is a fault of the build.

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

export const view = {
  app: element("app"),
  notice: element("notice"),
  signOut: element<HTMLButtonElement>("sign-out"),
  workspaces: element<HTMLUListElement>("workspaces"),
  noWorkspaces: element("no-workspaces"),
  terminal: element("terminal"),
  where: element("where"),
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
  terminalsTold: element("terminals-told"),
  terminalsList: element<HTMLUListElement>("terminals-list"),
  closing: element<HTMLDialogElement>("closing"),
  closingWhat: element("closing-what"),
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

/** Shows where the terminal stands; `reconnect` offers to open it again. */
export function showStatus(phase: Phase, text: string, reconnect = false): void {
  view.dot.dataset.phase = phase;
  view.status.textContent = text;
  view.reconnect.hidden = !reconnect;
}

/** Shows where the chosen workspace's shell runs, and what can be done with its terminal; empty where none is chosen. */
export function showPlace(place: string): void {
  view.where.textContent = place;
  view.where.hidden = place === "";
  view.tools.hidden = place === "";
}

/** Shows the sign-in form, with what went wrong. */
export function showSignIn(error = ""): void {
  view.app.hidden = true;
  view.signOut.hidden = true;
  view.signIn.hidden = false;
  view.signInError.textContent = error;
  view.token.value = "";
  view.token.focus();
}

/** Shows the workspaces in place of the sign-in form. */
export function showApp(): void {
  view.signIn.hidden = true;
  view.app.hidden = false;
  view.signOut.hidden = false;
}
