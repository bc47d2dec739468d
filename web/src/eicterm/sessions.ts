// The terminals that are open in a workspace: listed, and ended (docs/gateway.md, "Open terminals").

import { GatewayError, type RequestOptions, ask, siblingUrl } from "./ask.js";

/** An open terminal. More members may be added. */
export interface Session {
  /** The same as in `State` of who has it open. */
  id: string;
  workspace: string;
  /** Whose it is: the name that the gateway knows them by. */
  user: string;
  /** RFC 3339, by the gateway's clock. */
  opened_at: string;
  /** How long ago that was, in seconds. */
  age_secs: number;
  /** Bytes that were typed. */
  input_bytes: number;
  /** Bytes that were printed. */
  output_bytes: number;
}

/** How long an answer may take, in milliseconds. */
const DEADLINE = 15_000;

/** The terminals that are open where the one at `url` (`wss://…/workspaces/ID/terminal`) is, everybody's, the oldest first. */
export async function sessions(url: string | URL, options: RequestOptions = {}): Promise<Session[]> {
  const answer = await ask(siblingUrl(url, "/sessions"), "GET", DEADLINE, options);
  const body: unknown = await answer.json().catch(() => null);
  if (Array.isArray(body)) return body as Session[];
  throw new GatewayError(answer.status, "The gateway's list of terminals cannot be read.");
}

/** Ends the terminal `session`, whose viewer gets the close code 4404. An ended session is no error. */
export async function endSession(url: string | URL, session: string, options: RequestOptions = {}): Promise<void> {
  try {
    await ask(siblingUrl(url, `/sessions/${encodeURIComponent(session)}`), "DELETE", DEADLINE, options);
  } catch (error) {
    if (!(error instanceof GatewayError && error.error === "session not found")) throw error;
  }
}
