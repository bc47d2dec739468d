// How a React application shows a terminal of a gateway: Canvas's Terminal tab, for one. The client has no framework in
// it; this is all the glue there is.

import { FitAddon } from "@xterm/addon-fit";
import { Terminal as XTerm } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import {
  type Failure,
  type Latency,
  type Report,
  type RequestOptions,
  type State,
  Terminal,
  diagnose,
  refusal,
  ticket,
} from "eicterm";
import { useEffect, useRef, useState } from "react";

interface Props {
  workspaceId: string;
  /**
   * Where the gateway answers, such as `wss://terminal.acme.example`. On another origin than the page's, both that and its
   * `https:` twin must be on the page's `connect-src`, and the page's origin on the gateway's `allowed_origins`.
   */
  gateway: string;
  /**
   * A bearer token, where the application has one; without it, the browser's cookies say who asks. A new one leaves the
   * terminal open, and is what the next connection shows.
   */
  token?: string;
  /** Called when the user is not, or no longer, signed in. */
  onSignedOut?: () => void;
}

export function TerminalTab({ workspaceId, gateway, token, onSignedOut }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const [state, setState] = useState<State>({ phase: "connecting", attempt: 1 });
  const [failure, setFailure] = useState<Failure | null>(null);
  const [latency, setLatency] = useState<Latency | null>(null);
  const terminal = useRef<Terminal | null>(null);
  // What is asked with may change while a terminal is open, and must not open another one.
  const latest = useRef({ token, onSignedOut });
  useEffect(() => {
    latest.current = { token, onSignedOut };
  });
  const url = `${gateway}/workspaces/${encodeURIComponent(workspaceId)}/terminal`;

  useEffect(() => {
    if (place.current === null) return;
    const xterm = new XTerm({ cursorBlink: true });
    const fit = new FitAddon();
    xterm.loadAddon(fit);
    xterm.open(place.current);
    fit.fit();
    const client = new Terminal(
      {
        url,
        size: () => ({ cols: xterm.cols, rows: xterm.rows }),
        // A WebSocket takes neither a header nor, to another site, a strict cookie: it shows a ticket.
        ticket: () => ticket(url, asking(latest.current.token)),
        // A browser does not report why a socket was refused, for example to a page of another origin.
        refused: async () => {
          const refused = await refusal(url, asking(latest.current.token));
          if (refused?.why === "not-signed-in" || refused?.why === "sign-in-over") latest.current.onSignedOut?.();
          return refused?.text ?? null;
        },
      },
      {
        // `parsed` is the flow control: the shell waits for a terminal that is behind.
        text: (text, parsed) => xterm.write(text, parsed),
        state: (now) => {
          setState(now);
          if (now.phase === "connecting") setFailure(null);
        },
        failed: setFailure,
        latency: setLatency,
      },
    );
    terminal.current = client;
    const typed = xterm.onData((text) => client.type(text));
    const resized = xterm.onResize((size) => client.resize(size));
    const watch = new ResizeObserver(() => fit.fit());
    watch.observe(place.current);
    return () => {
      watch.disconnect();
      typed.dispose();
      resized.dispose();
      client.dispose();
      terminal.current = null;
      xterm.dispose();
    };
  }, [url]);

  return (
    <section>
      <div ref={place} style={{ height: "100%" }} />
      <p role="status">
        {state.phase === "ended" || state.phase === "waiting" ? state.text : state.phase}
        {latency !== null && ` · ${Math.round(latency.gateway + (latency.instance ?? 0))} ms`}
      </p>
      {failure?.hint !== undefined && <p role="alert">{failure.hint}</p>}
      {failure !== null && <Diagnosis url={url} options={asking(token)} />}
      {state.phase === "ended" && <button onClick={() => terminal.current?.reconnect()}>Reconnect</button>}
    </section>
  );
}

/** Runs a diagnosis on a click, because it pushes a key and opens a tunnel. */
function Diagnosis({ url, options }: { url: string; options: RequestOptions }) {
  const [report, setReport] = useState<Report | string | null>(null);
  const run = () => {
    setReport("Checking every step…");
    diagnose(url, options).then(setReport, (error: Error) => setReport(error.message));
  };
  return (
    <div>
      <button onClick={run}>Diagnose</button>
      {typeof report === "string" && <p role="status">{report}</p>}
      {report !== null && typeof report !== "string" && (
        <ol>
          {report.steps.map((step) => (
            <li key={step.name}>
              <strong>{step.name}</strong> {step.outcome}: {step.message}
              {step.hint !== null && <p>{step.hint}</p>}
              {step.fixes.map((fix, at) =>
                fix.kind === "iam-statement" ? <pre key={at}>{JSON.stringify(fix.statement, null, 2)}</pre> : null,
              )}
              {step.request_id !== null && <small>AWS request id {step.request_id}</small>}
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

/** How the gateway is asked, on whatever origin it is. */
function asking(token: string | undefined): RequestOptions {
  return { credentials: "include", ...(token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } }) };
}
