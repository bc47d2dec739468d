// The diagnosis of a terminal that does not open: the outcome of every step, and fixes.

import { type Fix, type Outcome, type Report, type Step, diagnose } from "./eicterm/index.js";
import { milliseconds, printable } from "./text";
import { view } from "./view";

const OUTCOMES: Record<Outcome, string> = {
  passed: "passed",
  failed: "failed",
  warned: "warning",
  "not-reached": "not reached",
  skipped: "skipped",
};

/** The pending diagnosis, if any. */
let asking: AbortController | null = null;

/** Hides the diagnosis and aborts a pending one. */
export function clear(): void {
  asking?.abort();
  asking = null;
  view.diagnosis.hidden = true;
  view.verdict.textContent = "";
  view.steps.replaceChildren();
  view.otherSteps.replaceChildren();
  view.others.hidden = true;
  view.diagnose.disabled = false;
  view.diagnose.textContent = "Diagnose";
}

/** Diagnoses the terminal at `url` and shows the report. */
export async function run(url: URL): Promise<void> {
  clear();
  const mine = new AbortController();
  asking = mine;
  view.details.hidden = false;
  view.diagnosis.hidden = false;
  view.diagnose.disabled = true;
  view.verdict.textContent = "Checking every step; this takes up to half a minute…";
  let verdict: string;
  try {
    const report = await diagnose(url, { signal: mine.signal });
    if (asking !== mine) return;
    verdict = summary(report);
    show(report.steps);
  } catch (error) {
    if (asking !== mine) return;
    verdict = `There is no diagnosis. ${error instanceof Error ? error.message : String(error)}`;
  }
  asking = null;
  view.verdict.textContent = printable(verdict);
  view.diagnose.disabled = false;
  view.diagnose.textContent = "Diagnose again";
}

/** Returns a summary of the report. */
function summary(report: Report): string {
  const took = `It took ${milliseconds(report.ms)}.`;
  if (report.first_failure === null) {
    return report.ok ? `A terminal opens now: every step passes. ${took}` : `It was not finished. ${took}`;
  }
  const failed = report.steps.filter((step) => step.outcome === "failed").length;
  const more = failed > 1 ? ` and ${failed - 1} more` : "";
  return `It fails at ${report.first_failure}${more}. ${took}`;
}

/** Shows the faults first and the other steps collapsed, both in their order. */
function show(steps: readonly Step[]): void {
  const isWrong = (step: Step) => step.outcome === "failed" || step.outcome === "warned";
  const others = steps.filter((step) => !isWrong(step));
  view.steps.replaceChildren(...steps.filter(isWrong).map(step));
  view.otherSteps.replaceChildren(...others.map(step));
  view.others.hidden = others.length === 0;
  const counts = (["passed", "skipped", "not-reached"] as const)
    .map((outcome) => [others.filter((step) => step.outcome === outcome).length, OUTCOMES[outcome]] as const)
    .filter(([count]) => count > 0);
  view.othersCount.textContent = `The other steps: ${counts.map(([count, word]) => `${count} ${word}`).join(", ")}`;
}

/** Renders a step: expanded if it has a fault, collapsed otherwise. */
function step(step: Step): HTMLLIElement {
  const item = document.createElement("li");
  const fold = document.createElement("details");
  fold.dataset.outcome = step.outcome;
  fold.open = step.outcome === "failed" || step.fixes.length > 0;
  const head = document.createElement("summary");
  const took = step.ms === null ? "" : ` ${milliseconds(step.ms)}`;
  head.append(text("span", "step", step.name), text("span", "outcome", (OUTCOMES[step.outcome] ?? step.outcome) + took));
  fold.append(head, text("p", "", step.message));
  if (step.hint !== null) fold.append(text("p", "", `What to do: ${step.hint}`));
  fold.append(...step.fixes.map(fix).filter((shown) => shown !== null));
  if (step.request_id !== null) fold.append(text("p", "faint", `AWS request id ${step.request_id}`));
  item.append(fold);
  return item;
}

/** Renders a fix; null for an unknown kind. */
function fix(fix: Fix): HTMLElement | null {
  switch (fix.kind) {
    case "iam-statement":
      return copyable("Add this statement to the gateway's IAM policy:", JSON.stringify(fix.statement, null, 2), "Copy the statement");
    case "security-group-rule": {
      const way = fix.direction === "inbound" ? "from" : "to";
      return copyable(
        `Add this ${fix.direction} rule to the security group ${fix.group}:`,
        `TCP ${fix.port} ${way} ${fix.peer}`,
        "Copy the rule",
      );
    }
    case "tag":
      return copyable(`Give ${fix.resource} this tag:`, `${fix.key}=${fix.value}`, "Copy the tag");
    default:
      return null;
  }
}

function copyable(caption: string, content: string, label: string): HTMLElement {
  const block = document.createElement("div");
  block.className = "fix";
  const shown = document.createElement("pre");
  // Line ends are kept; other control characters may come from the instance.
  shown.textContent = content.split("\n").map(printable).join("\n");
  // It scrolls, so that it can be reached by the keyboard.
  shown.tabIndex = 0;
  const button = document.createElement("button");
  button.type = "button";
  const say = (text: string, name: string) => {
    button.textContent = text;
    button.setAttribute("aria-label", name);
  };
  say("Copy", label);
  button.addEventListener("click", () => {
    void copy(content, shown).then((copied) => {
      const outcome = copied ? "Copied" : "Select and copy";
      say(outcome, outcome);
      window.setTimeout(() => say("Copy", label), 2000);
    });
  });
  block.append(text("p", "", caption), shown, button);
  return block;
}

/** Copies `content`; if that is not possible, selects it for the browser's own copy command, and returns false. */
async function copy(content: string, shown: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(content);
    return true;
  } catch {
    window.getSelection()?.selectAllChildren(shown);
    return false;
  }
}

function text(tag: "p" | "span", style: string, content: string): HTMLElement {
  const made = document.createElement(tag);
  if (style !== "") made.className = style;
  made.textContent = printable(content);
  return made;
}
