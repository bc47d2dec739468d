// The list of workspaces.

import type { Workspace } from "./api";

/** Describes where the workspace's shell runs. */
export function place(workspace: Workspace): string {
  const { container, instance } = workspace;
  if (container === undefined) return `login shell on ${instance ?? "an instance"}`;
  return instance === undefined ? `container ${container}` : `container ${container} on ${instance}`;
}

/** Whether its terminal can be opened now. */
export function isReady(workspace: Workspace): boolean {
  return !["provisioning", "failed", "removed", "paused", "hibernated"].includes(workspace.status);
}

/** Fills `list` and marks the chosen workspace. */
export function fill(
  list: HTMLUListElement,
  workspaces: readonly Workspace[],
  chosen: string | null,
  choose: (workspace: Workspace) => void,
): void {
  // The list is redrawn while the keyboard focus may be in it.
  const focused = list.querySelector<HTMLElement>(".entry:focus")?.dataset.workspace;
  list.replaceChildren(
    ...workspaces.map((workspace) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "entry";
      button.dataset.workspace = workspace.id;
      button.setAttribute("aria-current", String(workspace.id === chosen));
      button.append(
        line("name", workspace.name),
        line("faint", `${workspace.status} · ${workspace.id.slice(0, 8)}`),
      );
      button.dataset.status = workspace.status;
      button.title = place(workspace);
      button.addEventListener("click", () => choose(workspace));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
  if (focused !== undefined) list.querySelector<HTMLElement>(`[data-workspace="${CSS.escape(focused)}"]`)?.focus();
}

function line(style: string, text: string): HTMLSpanElement {
  const span = document.createElement("span");
  span.className = style;
  span.textContent = text;
  return span;
}
