// Ordinary requests to a gateway, and the errors made of its refusals.

import { type Why, explain, whyOf } from "./why.js";

/** Options of a request, such as credentials for a gateway on another origin. */
export interface RequestOptions {
  /** `Authorization`, for one. */
  headers?: Record<string, string>;
  /** The default is `same-origin`; a gateway on another origin gets its cookies with `include`. */
  credentials?: RequestCredentials;
  signal?: AbortSignal;
  /** The default is the browser's own. */
  fetch?: typeof fetch;
  /** The origin of the page, for error messages; the default is the browser's. */
  origin?: string;
  /** Whether the user was signed in before: a missing sign-in then counts as expired. */
  wasSignedIn?: boolean;
}

/** A request that the gateway refused or did not answer. `status` is 0 without an answer. */
export class GatewayError extends Error {
  constructor(
    readonly status: number,
    /** What went wrong and what to do, for a user. */
    message: string,
    /** The gateway's own error text; empty if there was none. */
    readonly error = "",
    readonly why: Why = "other",
  ) {
    super(message);
    this.name = "GatewayError";
  }

  /** Whether a retry may succeed. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Returns the http(s) URL of `path` below the terminal at `url`. */
export function siblingUrl(url: string | URL, path: string): URL {
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace(/^ws/, "http");
  address.pathname = address.pathname.replace(/\/?$/, path);
  address.search = "";
  address.hash = "";
  return address;
}

/** Sends a request and waits at most `deadline` milliseconds for the answer. */
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

/** Returns a signal that aborts after `deadline` milliseconds, or with `signal`. */
export function within(deadline: number, signal: AbortSignal | undefined): AbortSignal {
  const late = AbortSignal.timeout(deadline);
  return signal === undefined ? late : AbortSignal.any([signal, late]);
}

/** Returns the origin of the page. */
export function origin(options: RequestOptions): string {
  return options.origin ?? globalThis.location?.origin ?? "null";
}

function refused(status: number, error: string, options: RequestOptions): GatewayError {
  const hasToken = Object.keys(options.headers ?? {}).some((name) => name.toLowerCase() === "authorization");
  const why = whyOf(status, error, { hasToken, wasSignedIn: options.wasSignedIn ?? false });
  return new GatewayError(status, explain(why, status, error, origin(options)), error, why);
}

/** Returns the `error` of the gateway's JSON, or an empty text. */
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
