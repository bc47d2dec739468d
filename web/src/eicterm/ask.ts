// Ordinary requests to a gateway: where they go, what they show, and what is made of a refusal.

import { type Why, explain, whyOf } from "./why.js";

/** How a request is made: credentials for a gateway on another origin, for one. */
export interface RequestOptions {
  /** `Authorization`, for one. */
  headers?: Record<string, string>;
  /** The default is `same-origin`; a gateway on another origin gets its cookies with `include`. */
  credentials?: RequestCredentials;
  signal?: AbortSignal;
  /** The default is the browser's own. */
  fetch?: typeof fetch;
  /** The origin of the page, for what is said of it; the default is the browser's. */
  origin?: string;
  /** Whether the gateway let the same person in before: then a sign-in that is missing is one that is over. */
  wasSignedIn?: boolean;
}

/** The gateway did not do what it was asked for. `status` is its answer's, 0 when there was none. */
export class GatewayError extends Error {
  constructor(
    readonly status: number,
    /** A sentence or two for a person, with the way out. */
    message: string,
    /** The gateway's own words; empty when it had none. */
    readonly error = "",
    readonly why: Why = "other",
  ) {
    super(message);
    this.name = "GatewayError";
  }

  /** Whether the same may be answered otherwise a little later. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The address of `path` beside the terminal at `url`, for ordinary requests. */
export function beside(url: string | URL, path: string): URL {
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace(/^ws/, "http");
  address.pathname = address.pathname.replace(/\/?$/, path);
  address.search = "";
  address.hash = "";
  return address;
}

/** Asks for what is at `address`, and waits for `deadline` milliseconds at the most. */
export async function ask(
  address: string | URL,
  method: "GET" | "POST" | "DELETE",
  deadline: number,
  options: RequestOptions,
): Promise<Response> {
  let answer: Response;
  try {
    answer = await (options.fetch ?? fetch)(address, {
      method,
      cache: "no-store",
      credentials: options.credentials ?? "same-origin",
      signal: within(deadline, options.signal),
      ...(options.headers === undefined ? {} : { headers: options.headers }),
    });
  } catch {
    throw refused(0, "", options);
  }
  if (answer.ok) return answer;
  throw refused(answer.status, await complaint(answer), options);
}

/** What ends a request after `deadline` milliseconds, or when `signal` says so. */
export function within(deadline: number, signal: AbortSignal | undefined): AbortSignal {
  const late = AbortSignal.timeout(deadline);
  return signal === undefined ? late : AbortSignal.any([signal, late]);
}

/** The origin of the page. */
export function origin(options: RequestOptions): string {
  return options.origin ?? globalThis.location?.origin ?? "null";
}

function refused(status: number, error: string, options: RequestOptions): GatewayError {
  const hasToken = Object.keys(options.headers ?? {}).some((name) => name.toLowerCase() === "authorization");
  const why = whyOf(status, error, { hasToken, wasSignedIn: options.wasSignedIn ?? false });
  return new GatewayError(status, explain(why, status, error, origin(options)), error, why);
}

/** What the gateway says went wrong: its JSON's `error`, else nothing. */
async function complaint(answer: Response): Promise<string> {
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
