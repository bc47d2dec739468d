// What the page's address carries in its fragment, which is never sent to a server: a link's token, and the workspace.

export interface Link {
  token: string | null;
  workspace: string | null;
}

/** Reads `#token=…&workspace=…`; either may be missing. */
export function parse(fragment: string): Link {
  const members = new URLSearchParams(fragment.replace(/^#/, ""));
  const member = (name: string) => members.get(name) || null;
  return { token: member("token"), workspace: member("workspace") };
}

/** Reads the page's address and takes the token out of it, before anything else happens. */
export function take(location: Location, history: History): Link {
  const link = parse(location.hash);
  if (location.hash !== "") show(link.workspace, location, history);
  return link;
}

/** Shows the workspace in the page's address, so that a reload opens it again. */
export function show(workspace: string | null, location: Location, history: History): void {
  const fragment = workspace === null ? "" : `#workspace=${encodeURIComponent(workspace)}`;
  history.replaceState(null, "", location.pathname + location.search + fragment);
}
