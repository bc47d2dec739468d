// Why a terminal does not open: the gateway walks through every stage of connecting and reports (docs/doctor.md).

import { GatewayError, type RequestOptions, ask, siblingUrl } from "./ask.js";

export type Outcome = "passed" | "failed" | "warned" | "not-reached" | "skipped";

/** A fix of a failure. More kinds may be added. */
export type Fix =
  | { kind: "iam-statement"; statement: Record<string, unknown> }
  | { kind: "security-group-rule"; group: string; direction: "inbound" | "outbound"; port: number; peer: string }
  | { kind: "tag"; resource: string; key: string; value: string };

export interface Step {
  name: string;
  outcome: Outcome;
  /** How long it took, in milliseconds; null where nothing was asked for it alone. */
  ms: number | null;
  /** AWS's request id. */
  request_id: string | null;
  message: string;
  fault: string | null;
  hint: string | null;
  fixes: Fix[];
}

/** What the walk found. More members may be added. */
export interface Report {
  /** A terminal opens. */
  ok: boolean;
  /** The name of a step. */
  first_failure: string | null;
  instance: string | null;
  os_user: string | null;
  container: string | null;
  region: string | null;
  account: string | null;
  caller: string | null;
  endpoint: string | null;
  address: string | null;
  port: number | null;
  ms: number;
  steps: Step[];
}

/** How long a diagnosis may take, in milliseconds: the gateway gives up before. */
const DEADLINE = 60_000;

/**
 * Has the gateway diagnose the terminal at `url` (`wss://…/workspaces/ID/terminal`). It pushes a key and opens a tunnel,
 * so it is for a person who wants to know, not for a timer.
 */
export async function diagnose(url: string | URL, options: RequestOptions = {}): Promise<Report> {
  const answer = await ask(siblingUrl(url, "/diagnose"), "GET", DEADLINE, options);
  const report: unknown = await answer.json().catch(() => null);
  if (typeof report === "object" && report !== null && "steps" in report && Array.isArray(report.steps)) {
    return report as Report;
  }
  throw new GatewayError(answer.status, "The gateway's report cannot be read.");
}
