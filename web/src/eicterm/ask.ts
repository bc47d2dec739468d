// Ordinary requests to the gateway of a terminal: where they go, what they show, and what is made of a refusal.

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
}

/** The gateway did not do what it was asked for. `status` is its answer's, 0 when there was none. */
export class GatewayError extends Error {
  constructor(
    readonly status: number,
    /** A sentence for a person. */
    message: string,
    /** The gateway's own words; empty when it had none. */
    readonly error = "",
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

/** Asks for what is at `path` beside the terminal at `url`, and waits for `deadline` milliseconds at the most. */
export async function ask(
  url: string | URL,
  path: string,
  method: "GET" | "POST",
  deadline: number,
  options: RequestOptions,
): Promise<Response> {
  let answer: Response;
  try {
    answer = await (options.fetch ?? fetch)(beside(url, path), {
      method,
      cache: "no-store",
      credentials: options.credentials ?? "same-origin",
      signal: options.signal ?? AbortSignal.timeout(deadline),
      ...(options.headers === undefined ? {} : { headers: options.headers }),
    });
  } catch {
    throw new GatewayError(0, "The gateway does not answer.");
  }
  if (answer.ok) return answer;
  const error = await complaint(answer);
  throw new GatewayError(answer.status, explain(answer.status, error, origin(options)), error);
}

/** The origin of the page. */
export function origin(options: RequestOptions): string {
  return options.origin ?? globalThis.location?.origin ?? "null";
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

/** A sentence for a page whose origin is not on the gateway's list. */
export function notLetIn(origin: string): string {
  return `The gateway does not let pages of ${origin} in. Open the page by the address that its operator gave out, or add ${origin} to the gateway's allowed_origins.`;
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
