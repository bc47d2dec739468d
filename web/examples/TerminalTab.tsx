// How a React application shows a terminal of a gateway: Canvas's Terminal tab, for one. The client has no framework in
// it; this is all the glue there is.

import { FitAddon } from "@xterm/addon-fit";
import { Terminal as XTerm } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { type Failure, type Latency, type State, Terminal } from "eicterm";
import { useEffect, useRef, useState } from "react";

interface Props {
  workspaceId: string;
  /** Where the gateway answers, such as `wss://acme.example`; it must be on the page's `connect-src`. */
  gateway: string;
  /** For a gateway on another origin, where cookies do not reach: asks the platform for a single-use ticket. */
  ticket?: () => Promise<string>;
}

export function TerminalTab({ workspaceId, gateway, ticket }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const [state, setState] = useState<State>({ phase: "connecting", attempt: 1 });
  const [failure, setFailure] = useState<Failure | null>(null);
  const [latency, setLatency] = useState<Latency | null>(null);
  const terminal = useRef<Terminal | null>(null);

  useEffect(() => {
    if (place.current === null) return;
    const xterm = new XTerm({ cursorBlink: true });
    const fit = new FitAddon();
    xterm.loadAddon(fit);
    xterm.open(place.current);
    fit.fit();
    const client = new Terminal(
      {
        url: `${gateway}/workspaces/${encodeURIComponent(workspaceId)}/terminal`,
        size: () => ({ cols: xterm.cols, rows: xterm.rows }),
        ...(ticket === undefined ? {} : { ticket }),
      },
      {
        // `parsed` is the flow control: the shell waits for a terminal that is behind.
        output: (bytes, parsed) => xterm.write(bytes, parsed),
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
    const watch = new ResizeObserver(() => {
      fit.fit();
      client.resize({ cols: xterm.cols, rows: xterm.rows });
    });
    watch.observe(place.current);
    return () => {
      watch.disconnect();
      typed.dispose();
      client.dispose();
      xterm.dispose();
    };
  }, [workspaceId, gateway, ticket]);

  return (
    <section>
      <div ref={place} style={{ height: "100%" }} />
      <p role="status">
        {state.phase === "ended" || state.phase === "waiting" ? state.text : state.phase}
        {latency !== null && ` · ${Math.round(latency.gateway + (latency.instance ?? 0))} ms`}
      </p>
      {failure?.hint !== undefined && <p role="alert">{failure.hint}</p>}
      {state.phase === "ended" && <button onClick={() => terminal.current?.reconnect()}>Reconnect</button>}
    </section>
  );
}
