// The gateway's routes that the page uses. The session cookie is HttpOnly, so no script sees it.

import { GatewayError, ask } from "./eicterm/ask.js";
import { wasSignedIn } from "./settings";

export interface Workspace {
  id: string;
  name: string;
  status: string;
  /** Absent for a workspace on the gateway's own host. */
  instance?: string;
  container?: string;
  note?: string;
}

/** The timeout of a request, in milliseconds. */
const DEADLINE = 15_000;

/** Exchanges a token for the session cookie. */
export async function signIn(token: string): Promise<void> {
  await ask("/auth/session", "POST", DEADLINE, { headers: { Authorization: `Bearer ${token}` } });
}

/** Who a request counts as. */
export interface Identity {
  name: string;
  /** Whether the browser is signed in with that credential. */
  signed_in: boolean;
}

/** Returns whose `token` is, or without one, who is signed in. Changes nothing. */
export async function identity(token?: string): Promise<Identity> {
  const headers = token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } };
  const answer = await ask("/auth/session", "GET", DEADLINE, { ...headers, wasSignedIn: wasSignedIn() });
  const body: unknown = await answer.json().catch(() => null);
  if (typeof body === "object" && body !== null && "name" in body && typeof body.name === "string") {
    return { name: body.name, signed_in: "signed_in" in body && body.signed_in === true };
  }
  throw new GatewayError(answer.status, "The gateway's answer cannot be read.");
}

/** Invalidates the session cookie. */
export async function signOut(): Promise<void> {
  await ask("/auth/session", "DELETE", DEADLINE, {});
}

/** Returns the workspaces that the caller may open. */
export async function workspaces(): Promise<Workspace[]> {
  const answer = await ask("/workspaces", "GET", DEADLINE, { wasSignedIn: wasSignedIn() });
  const body: unknown = await answer.json().catch(() => null);
  if (!Array.isArray(body)) throw new GatewayError(answer.status, "The gateway's list cannot be read.");
  return body as Workspace[];
}
