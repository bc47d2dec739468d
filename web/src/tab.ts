// The terminal of the chosen workspace: its connection, its screen and its status.

import * as details from "./details";
import * as diagnosis from "./diagnosis";
import { type Exit, type Failure, type Latency, type State, Terminal, refusal } from "./eicterm/index.js";
import { Screen } from "./screen";
import * as settings from "./settings";
import * as terminals from "./terminals";
import { apply } from "./colors";
import { duration, milliseconds, printable } from "./text";
import { showStatus, view } from "./view";

/** The close codes of a viewer whose sign-in is over, and of one who may not open the workspace any more. */
const SIGNED_OUT = 4401;
const DENIED = 4403;

export class Tab {
  readonly screen: Screen;
  private readonly terminal: Terminal;
  private clock: number | undefined;
  private exit: Exit | null = null;
  private opened = false;
  private waiting = false;
  /** The failure that the gateway reported. */
  private failed: Failure | null = null;
  /** Where the terminal is. */
  readonly url: URL;
  private current: string | null = null;
  /** Whether an idle warning is shown. */
  private idle = false;

  /**
   * Opens the terminal of the workspace `id`. Calls `signedOut` with a message when the sign-in is over, and `denied` when access
   * to the workspace ended.
   */
  constructor(
    id: string,
    private readonly name: string,
    private readonly signedOut: (text: string) => void,
    private readonly denied: () => void,
    key: (event: KeyboardEvent) => boolean,
  ) {
    const url = new URL(`/workspaces/${encodeURIComponent(id)}/terminal`, window.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.url = url;
    this.screen = new Screen(view.terminal, apply(settings.colors()), settings.fontSize(), {
      typed: (text) => {
        this.terminal.type(text);
        this.takeBack();
      },
      typedBytes: (bytes) => this.terminal.send(bytes),
      resized: (size) => {
        showSize(size.cols, size.rows);
        // The first size comes while the screen is being made.
        this.terminal?.resize(size);
      },
      found: (index, count) => {
        view.searchCount.textContent = count === 0 ? "none" : `${index + 1} of ${count}`;
      },
      key,
    });
    showSize(this.screen.size.cols, this.screen.size.rows);
    this.terminal = new Terminal(
      { url, size: () => this.screen.size, refused: () => this.refused() },
      {
        text: (text, parsed) => {
          if (!this.opened) this.begin();
          this.screen.show(text, parsed);
        },
        state: (state) => this.follow(state),
        stage: (stage, ms) => {
          details.stage(stage, ms);
          if (ms === null && !this.opened) showStatus("connecting", `Connecting: ${printable(stage)}…`);
        },
        latency: showLatency,
        warn: (what, secs) => this.warn(what, secs),
        exit: (exit) => {
          this.exit = exit;
        },
        failed: (failure) => {
          this.failed = failure;
          // For a terminal that was open, the end shows the same message.
          if (!this.opened) details.fail(failure);
        },
        inputRefused: (bytes) => this.screen.remark(`[${bytes} bytes were not pasted: that is too much at once]`),
      },
    );
  }

  /** The id of the session that is open, if one is. */
  get session(): string | null {
    return this.current;
  }

  type(text: string): void {
    this.terminal.type(text);
  }

  reconnect(): void {
    diagnosis.clear();
    this.terminal.reconnect();
  }

  /** Asks the gateway why the terminal does not open. */
  diagnose(): void {
    void diagnosis.run(this.url);
  }

  /** Returns why a socket was refused, which only an ordinary request can learn. Null means: try again. */
  private async refused(): Promise<string | null> {
    const refused = await refusal(this.url, { wasSignedIn: true });
    if (refused?.why === "sign-in-over") this.signedOut(refused.text);
    return refused?.text ?? null;
  }

  /** Closes the terminal and clears the page. */
  dispose(): void {
    this.stopClock();
    this.terminal.dispose();
    this.screen.dispose();
    diagnosis.clear();
    details.clear();
    view.latency.hidden = true;
    view.size.textContent = "";
  }

  /** Handles the first output of the shell. */
  private begin(): void {
    this.opened = true;
    this.screen.enabled = true;
    diagnosis.clear();
    details.clear();
    showStatus("open", `Connected to ${this.name}`);
    const began = Date.now();
    this.clock = window.setInterval(() => {
      view.elapsed.textContent = duration(Date.now() - began);
    }, 1000);
    this.screen.focus();
  }

  private follow(state: State): void {
    this.waiting = state.phase === "waiting";
    switch (state.phase) {
      case "connecting":
        details.clear();
        this.exit = null;
        this.opened = false;
        this.failed = null;
        showStatus("connecting", state.attempt === 1 ? "Connecting…" : `Connecting again, attempt ${state.attempt}…`);
        break;
      case "open":
        this.current = state.session;
        break;
      case "waiting":
        this.close();
        if (this.opened) {
          this.screen.renew();
          this.screen.remark(`[${state.text} What ran in it is gone; a new shell follows.]`);
        }
        showStatus("failed", `${state.text} Trying again in ${Math.ceil(state.ms / 1000)} s.`, true);
        break;
      case "ended": {
        this.close();
        terminals.refreshNow();
        const text = this.ending(state);
        this.screen.renew();
        if (state.clean || this.opened) this.screen.remark(`[${text}]`);
        showStatus(state.clean ? "ended" : "failed", text, true);
        // Only if the focus is in the terminal.
        if (this.screen.hasFocus) view.reconnect.focus();
        if (state.code === SIGNED_OUT) this.signedOut(state.text);
        else if (state.code === DENIED) this.denied();
        // Only if no terminal was open: one that broke later may open again.
        if (this.failed !== null && !this.opened) this.diagnose();
        break;
      }
    }
  }

  /** Returns a sentence on how it ended. The details of a failure are shown above it. */
  private ending(state: Extract<State, { phase: "ended" }>): string {
    if (state.clean) return ending(this.exit);
    if (this.failed === null || this.opened) return printable(state.text);
    const { stage } = this.failed;
    return stage === undefined ? "No terminal could be opened." : `No terminal could be opened: ${printable(stage)} failed.`;
  }

  private warn(what: string, secs: number): void {
    this.idle = what === "idle";
    const why = this.idle ? "it is idle. Any key keeps it" : "it has been open for long";
    showStatus("warned", `The terminal will be closed in ${secs} s: ${why}.`);
  }

  /** Removes an idle warning when a key is pressed; the gateway sends nothing for that. */
  private takeBack(): void {
    if (!this.idle) return;
    this.idle = false;
    showStatus("open", `Connected to ${this.name}`);
  }

  /** Reconnects at once if a retry is pending: the network is back. */
  hurry(): void {
    if (this.waiting) this.terminal.reconnect();
  }

  private close(): void {
    this.current = null;
    this.idle = false;
    this.stopClock();
    this.screen.enabled = false;
    view.latency.hidden = true;
  }

  private stopClock(): void {
    window.clearInterval(this.clock);
    view.elapsed.textContent = "";
  }
}

/** Returns a sentence on how the shell ended. */
function ending(exit: Exit | null): string {
  if (exit?.signal !== undefined) return `The shell was ended by SIG${printable(exit.signal)}.`;
  if (exit?.code !== undefined && exit.code !== 0) return `The shell ended with status ${exit.code}.`;
  return "The shell ended.";
}

function showSize(cols: number, rows: number): void {
  view.size.textContent = `${cols}×${rows}`;
}

function showLatency({ gateway, instance }: Latency): void {
  view.latency.hidden = false;
  const whole = gateway + (instance ?? 0);
  view.latency.dataset.slow = String(whole > 250);
  const known = instance !== null;
  view.latency.textContent = `gateway ${milliseconds(gateway)}${known ? ` · instance ${milliseconds(instance)}` : ""}`;
  view.latency.title = `Round trips: browser to gateway ${milliseconds(gateway)}${known ? `, gateway to instance ${milliseconds(instance)}` : ""}`;
  view.latency.setAttribute("aria-label", view.latency.title);
}
