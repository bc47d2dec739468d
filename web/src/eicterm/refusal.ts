// Why a gateway does not let a page in. A browser tells a page nothing of a WebSocket that was refused but the code 1006;
// an ordinary request to the same gateway passes the same checks, and says which one failed.

/** What the gateway has against the page. `status` is 0 where the browser hides the answer from the page. */
export interface Refusal {
  status: number;
  /** The gateway's own words. */
  error: string;
  /** A sentence for a person. */
  text: string;
}

/** How a request is made besides its method: credentials for a gateway on another origin, for one. */
export interface RequestOptions {
  headers?: Record<string, string>;
  credentials?: RequestCredentials;
  signal?: AbortSignal;
  /** The default is the browser's own. */
  fetch?: typeof fetch;
  /** The origin of the page, for what is said of it; the default is the browser's. */
  origin?: string;
}

/** How long an answer may take, in milliseconds. */
const DEADLINE = 15_000;

/** The address of `path` beside the terminal at `url`, for ordinary requests. */
export function beside(url: string | URL, path: string): URL {
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace(/^ws/, "http");
  address.pathname = address.pathname.replace(/\/?$/, path);
  address.search = "";
  address.hash = "";
  return address;
}

/**
 * Asks the gateway why it does not open the terminal at `url` (`wss://…/workspaces/ID/terminal`), by asking it for a
 * ticket. Null when it would open it, or does not answer at all: to be tried again.
 */
export async function refusal(url: string | URL, options: RequestOptions = {}): Promise<Refusal | null> {
  const ask = options.fetch ?? fetch;
  const origin = options.origin ?? globalThis.location?.origin ?? "null";
  const address = beside(url, "/ticket");
  let answer: Response;
  try {
    answer = await ask(address, {
      method: "POST",
      cache: "no-store",
      credentials: options.credentials ?? "same-origin",
      signal: options.signal ?? AbortSignal.timeout(DEADLINE),
      ...(options.headers === undefined ? {} : { headers: options.headers }),
    });
  } catch {
    if (address.origin === origin || !(await answers(ask, new URL("/health", address)))) return null;
    return { status: 0, error: "", text: notLetIn(origin) };
  }
  // A gateway that is stopping, or whose directory is away, is worth another try; so is one that asks for patience.
  if (answer.ok || answer.status >= 500 || answer.status === 429) return null;
  const error = await complaint(answer);
  return { status: answer.status, error, text: explain(answer.status, error, origin) };
}

/** A sentence for what a gateway answered to a page of `origin`. */
export function explain(status: number, error: string, origin: string): string {
  if (status === 403 && error === "origin not allowed") return notLetIn(origin);
  if (status === 403 && error === "host not allowed") {
    return `The gateway does not answer under this address (${origin}). Open the page by the address that its operator gave out, or add it to the gateway's allowed_hosts.`;
  }
  if (status === 401) return "You are not signed in, or the session is over.";
  if (status === 404) return "There is no such workspace, or you may not open it.";
  return error === "" ? `The gateway answered ${status}.` : `The gateway answered: ${error}.`;
}

/** What the gateway says went wrong: its JSON's `error`, else nothing. */
export async function complaint(answer: Response): Promise<string> {
  try {
    const body: unknown = await answer.json();
    if (typeof body === "object" && body !== null && "error" in body && typeof body.error === "string") {
      return body.error;
    }
  } catch {
    // Not JSON: the status has to do.
  }
  return "";
}

function notLetIn(origin: string): string {
  return `The gateway does not let pages of ${origin} in. Open the page by the address that its operator gave out, or add ${origin} to the gateway's allowed_origins.`;
}

/** Whether anybody answers there: a page may learn that of any server that does not forbid it, and nothing more. */
async function answers(ask: typeof fetch, address: URL): Promise<boolean> {
  try {
    await ask(address, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(DEADLINE) });
    return true;
  } catch {
    return false;
  }
}
