// What a refusal of the gateway means, and what the user can do.

/** Why a gateway does not do what it was asked for. More kinds may be added. */
export type Why =
  /** No credential. */
  | "not-signed-in"
  /** The credential expired, was revoked, or was signed out elsewhere. */
  | "sign-in-over"
  /** The bearer token is unknown, or not valid for this workspace. */
  | "wrong-token"
  /** The signed-in user may not open this workspace. */
  | "not-theirs"
  /** The token may not claim the workspace in `X-Workspace-ID`. */
  | "wrong-claim"
  /** The workspace does not exist, or the caller may not open it; the gateway does not say which. */
  | "no-workspace"
  /** The page's origin is not on the gateway's list. */
  | "origin"
  /** The gateway's own address is not on its list. */
  | "host"
  /** Too many requests. */
  | "too-often"
  /** There was no answer. */
  | "no-answer"
  /** Anything else; the gateway's error text says what. */
  | "other";

/** What is known of the caller. */
export interface Caller {
  /** Whether a bearer token was sent. */
  hasToken: boolean;
  /** Whether the user was signed in before. */
  wasSignedIn: boolean;
}

/** Classifies an answer with `status` and the text `error`. */
export function whyOf(status: number, error: string, caller: Caller): Why {
  if (status === 0) return "no-answer";
  if (status === 403 && error === "origin not allowed") return "origin";
  if (status === 403 && error === "host not allowed") return "host";
  if (status === 404 && error === "workspace not found") return "no-workspace";
  if (status === 429 && error === "rate limit exceeded") return "too-often";
  if (status !== 401) return "other";
  if (error === "invalid token for claimed workspace") return "wrong-claim";
  if (error === "missing workspace ID") return "no-workspace";
  // For a bearer token, and for the token behind a cookie or a ticket.
  if (error === "invalid workspace auth token") return caller.hasToken ? "wrong-token" : "not-theirs";
  return caller.wasSignedIn ? "sign-in-over" : "not-signed-in";
}

/** Explains `why` to a user: what is wrong, and what to do. */
export function explain(why: Why, status: number, error: string, origin: string): string {
  switch (why) {
    case "not-signed-in":
      return "You are not signed in. Sign in, and try again.";
    case "sign-in-over":
      return "Your sign-in is over: its time ran out, it was signed out elsewhere, or it was taken back. Sign in again.";
    case "wrong-token":
      return "The access token opens nothing here: it is mistyped, revoked, or for another gateway. Check it, or ask the operator for a new one.";
    case "not-theirs":
      return "You are signed in, but not with what opens this workspace. Choose another workspace, or sign in with a token for this one.";
    case "wrong-claim":
      return "The access token does not speak for the workspace that X-Workspace-ID names. Leave that header out, or use a token of that workspace.";
    case "no-workspace":
      return "There is no such workspace, or you may not open it. Choose another one, or ask for access.";
    case "origin":
      return `The gateway does not let pages of ${origin} in. Open the page by the address that its operator gave out, or add ${origin} to the gateway's allowed_origins.`;
    case "host":
      return `The gateway does not answer under this address (${origin}). Open the page by the address that its operator gave out, or add it to the gateway's allowed_hosts.`;
    case "too-often":
      return "The gateway was asked too often. Wait a minute, and try again.";
    case "no-answer":
      return "The gateway does not answer.";
    case "other":
      return error === "" ? `The gateway answered ${status}.` : `The gateway answered: ${error}.`;
  }
}
