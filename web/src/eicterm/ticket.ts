// Tickets: a browser can put no header on a WebSocket, and so a client shows one of these as a second subprotocol.

import { GatewayError, type RequestOptions, ask, siblingUrl } from "./ask.js";

/** How long a ticket may take, in milliseconds. */
const DEADLINE = 15_000;

/**
 * Asks the gateway for what opens the terminal at `url` (`wss://…/workspaces/ID/terminal`), once, from this page. It is
 * good for half a minute: to be asked for before each attempt, as `Options.ticket` is.
 */
export async function ticket(url: string | URL, options: RequestOptions = {}): Promise<string> {
  const answer = await ask(siblingUrl(url, "/ticket"), "POST", DEADLINE, options);
  const body: unknown = await answer.json().catch(() => null);
  if (typeof body === "object" && body !== null && "ticket" in body && typeof body.ticket === "string") {
    return body.ticket;
  }
  throw new GatewayError(answer.status, "The gateway's ticket cannot be read.");
}
