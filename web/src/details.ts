// The stages of connecting with their times, and the failure with its hint.

import type { Failure } from "./eicterm/index.js";
import { milliseconds, printable } from "./text";
import { view } from "./view";

/** Clears everything but the diagnosis, which a user may still be reading. */
export function clear(): void {
  view.stages.replaceChildren();
  view.failure.textContent = "";
  view.hint.textContent = "";
  view.request.textContent = "";
  view.details.hidden = view.diagnosis.hidden;
}

/** Shows that a stage began, or passed and took `ms`. */
export function stage(name: string, ms: number | null): void {
  const known = [...view.stages.children].find((item) => item instanceof HTMLElement && item.dataset.stage === name);
  const item = known ?? document.createElement("li");
  if (!(item instanceof HTMLElement)) return;
  item.dataset.stage = name;
  item.dataset.state = ms === null ? "running" : "passed";
  item.textContent = ms === null ? printable(name) : `${printable(name)} ${milliseconds(ms)}`;
  if (known === undefined) view.stages.append(item);
}

/** Shows a failure until the next attempt. */
export function fail(failure: Failure): void {
  for (const item of view.stages.children) {
    if (!(item instanceof HTMLElement)) continue;
    if (item.dataset.stage === failure.stage) item.dataset.state = "failed";
    else if (item.dataset.state === "running") item.dataset.state = "stopped";
  }
  const where = failure.stage === undefined ? "" : `${failure.stage}: `;
  view.failure.textContent = printable(where + failure.message);
  view.hint.textContent = failure.hint === undefined ? "" : `What to do: ${printable(failure.hint)}`;
  view.request.textContent = failure.request_id === undefined ? "" : `AWS request id ${printable(failure.request_id)}`;
  view.details.hidden = false;
}
