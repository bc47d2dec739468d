// The token in the link's fragment: a fragment is never sent to a server, and is gone from the address bar and
// the history before anything else happens.

const NAME = "token";

/** The token in `fragment` (`#token=…`), or null. */
export function tokenIn(fragment: string): string | null {
  const token = new URLSearchParams(fragment.replace(/^#/, "")).get(NAME);
  return token === null || token === "" ? null : token;
}

/** Takes the token out of the page's address. */
export function takeToken(location: Location, history: History): string | null {
  const token = tokenIn(location.hash);
  if (location.hash !== "") history.replaceState(null, "", location.pathname + location.search);
  return token;
}
