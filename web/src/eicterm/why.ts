// What a refusal of the gateway's means, and the way out of it, in a sentence for a person.

/** Why a gateway does not do what it was asked for. More kinds may be added. */
export type Why =
  /** Nothing shows who asks. */
  | "not-signed-in"
  /** Nothing shows it any more: a cookie ran out, was taken back, or was signed out elsewhere. */
  | "sign-in-over"
  /** The bearer token is nobody's, or not good for this workspace. */
  | "wrong-token"
  /** Who is signed in may not open this workspace. */
  | "not-theirs"
  /** The token does not speak for the workspace that `X-Workspace-ID` names. */
  | "wrong-claim"
  /** There is no such workspace, or it is not the caller's: which of the two is not told. */
  | "no-workspace"
  /** The page's origin is not on the gateway's list. */
  | "origin"
  /** The gateway's own address is not on its list. */
  | "host"
  /** Too many requests. */
  | "too-often"
  /** There was no answer. */
  | "no-answer"
  /** What the gateway's own words say. */
  | "other";

/** What is known of who asked. */
export interface Asker {
  /** Whether a bearer token was shown. */
  hasToken: boolean;
  /** Whether the same was let in before. */
  wasSignedIn: boolean;
}

/** Why the gateway answered `status` with the words `error`. */
export function whyOf(status: number, error: string, asker: Asker): Why {
  if (status === 0) return "no-answer";
  if (status === 403 && error === "origin not allowed") return "origin";
  if (status === 403 && error === "host not allowed") return "host";
  if (status === 404 && error === "workspace not found") return "no-workspace";
  if (status === 429 && error === "rate limit exceeded") return "too-often";
  if (status !== 401) return "other";
  if (error === "invalid token for claimed workspace") return "wrong-claim";
  if (error === "missing workspace ID") return "no-workspace";
  // Said of a token that was shown, and of one that a cookie or a ticket stands for.
  if (error === "invalid workspace auth token") return asker.hasToken ? "wrong-token" : "not-theirs";
  return asker.wasSignedIn ? "sign-in-over" : "not-signed-in";
}

/** A sentence or two for `why`: what is wrong, and what to do. */
export function explain(why: Why, status: number, error: string, origin: string): string {
  switch (why) {
    case "not-signed-in":
      return "You are not signed in. Sign in, and try again.";
    case "sign-in-over":
      return "Your sign-in is over: its time ran out, it was signed out elsewhere, or it was taken back. Sign in again.";
    case "wrong-token":
      return "The access token opens nothing here: it is mistyped, was taken back, or is for something else. Check it, or ask whoever gave it out for another one.";
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
