// Why a gateway refuses a page. For a refused WebSocket a browser reports only the code 1006; an ordinary request to the same
// gateway passes the same checks, and its answer names the one that failed.

import { GatewayError, type RequestOptions, siblingUrl, origin, within } from "./ask.js";
import { ticket } from "./ticket.js";
import { type Why, explain } from "./why.js";

/** What the gateway has against the page. `status` is 0 where the browser hides the answer from the page. */
export interface Refusal {
  status: number;
  /** The gateway's own words. */
  error: string;
  why: Why;
  /** What went wrong and what to do, for a user. */
  text: string;
}

/** How long an answer may take, in milliseconds. */
const DEADLINE = 15_000;

/**
 * Asks the gateway why it does not open the terminal at `url` (`wss://…/workspaces/ID/terminal`), by asking it for a
 * ticket. Null when it would open it, or does not answer at all: to be tried again.
 */
export async function refusal(url: string | URL, options: RequestOptions = {}): Promise<Refusal | null> {
  try {
    await ticket(url, options);
    return null;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    if (error.status === 0) return hidden(url, options);
    // A gateway that is stopping, or whose directory is away, is worth another try; so is one that asks for patience.
    return error.isPassing ? null : { status: error.status, error: error.error, why: error.why, text: error.message };
  }
}

/** Of a gateway on another origin that does not let the page in, the browser hides even the refusal. */
async function hidden(url: string | URL, options: RequestOptions): Promise<Refusal | null> {
  const [health, ours] = [new URL("/health", siblingUrl(url, "")), origin(options)];
  if (health.origin === ours) return null;
  try {
    // A page learns only that the gateway answers.
    await (options.fetch ?? fetch)(health, {
      mode: "no-cors",
      cache: "no-store",
      signal: within(DEADLINE, options.signal),
    });
  } catch {
    return null;
  }
  return { status: 0, error: "", why: "origin", text: explain("origin", 0, "", ours) };
}
