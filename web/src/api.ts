// The gateway's routes as the page uses them. The session cookie is HttpOnly: no script ever sees it.

import { complaint, explain } from "./eicterm/ask.js";

export interface Workspace {
  id: string;
  name: string;
  status: string;
  /** Absent where it runs beside the gateway. */
  instance?: string;
  container?: string;
  note?: string;
}

/** The gateway's answer was not what was asked for. `status` is 0 when there was none. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** How long an answer may take, in milliseconds. */
const DEADLINE = 15_000;

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      ...init,
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(DEADLINE),
    });
  } catch {
    throw new ApiError(0, "The gateway does not answer.");
  }
  if (answer.ok) return answer;
  throw new ApiError(answer.status, explain(answer.status, await complaint(answer), window.location.origin));
}

/** Trades a token for the session cookie. */
export async function signIn(token: string): Promise<void> {
  await ask("/auth/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
}

/** Makes the session cookie invalid. */
export async function signOut(): Promise<void> {
  await ask("/auth/session", { method: "DELETE" });
}

/** The workspaces that the caller may open. */
export async function workspaces(): Promise<Workspace[]> {
  const body: unknown = await (await ask("/workspaces")).json();
  if (!Array.isArray(body)) throw new ApiError(0, "The gateway's list cannot be read.");
  return body as Workspace[];
}
