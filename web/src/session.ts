// Signing in by a link. Any site can link to this page with a token of its own, so a link never replaces a session unasked:
// the visitor would continue in somebody else's workspace.

import { type Identity, identity, signIn } from "./api";
import { confirm } from "./dialog";
import { GatewayError } from "./eicterm/index.js";
import { wasSignedIn } from "./settings";
import { printable } from "./text";
import { view } from "./view";

export type Outcome =
  /** This browser had no session before. */
  | "signed-in"
  /** The browser already has the link's session. */
  | "unchanged"
  /** The visitor kept the session from before. */
  | "declined"
  /** The visitor agreed to replace it, or it had expired. */
  | "replaced";

/** Signs in with a link's token. Calls `ending` before it replaces a session. */
export async function follow(token: string, ending: () => void): Promise<Outcome> {
  const current = await currentIdentity();
  if (current === null) {
    const hadSession = wasSignedIn();
    await signIn(token);
    return hadSession ? "replaced" : "signed-in";
  }
  const offered = await identity(token);
  if (offered.signed_in) return "unchanged";
  if (!(await confirmReplacement(current, offered))) return "declined";
  ending();
  await signIn(token);
  return "replaced";
}

/** Returns who is signed in, or null. */
async function currentIdentity(): Promise<Identity | null> {
  try {
    const current = await identity();
    return current.signed_in ? current : null;
  } catch (error) {
    if (error instanceof GatewayError && error.status === 401) return null;
    throw error;
  }
}

async function confirmReplacement(current: Identity, offered: Identity): Promise<boolean> {
  const [now, then] = [printable(current.name), printable(offered.name)];
  view.replacingWhat.textContent =
    `You are signed in as ${now}. The link you followed signs you in as ${then} instead, and ends every terminal that is open ` +
    `in this browser. What you type from then on goes to the workspaces of ${then}. Continue only if you trust the source of the link.`;
  view.replacingKeep.textContent = `Stay ${now}`;
  view.replacingAgree.textContent = `Sign in as ${then}`;
  return confirm(view.replacing, "replace");
}
