// The terminal of the chosen workspace: connection and screen together, and what is told of them.

import * as details from "./details";
import * as diagnosis from "./diagnosis";
import { type Exit, type Failure, type Latency, type State, Terminal, refusal } from "./eicterm/index.js";
import { Screen } from "./screen";
import * as settings from "./settings";
import { apply } from "./colours";
import { duration, milliseconds, printable } from "./text";
import { showStatus, view } from "./view";

/** The close code of a viewer whose sign-in is over. */
const SIGNED_OUT = 4401;

export class Tab {
  readonly screen: Screen;
  private readonly terminal: Terminal;
  private clock: number | undefined;
  private exit: Exit | null = null;
  private opened = false;
  private waiting = false;
  /** What the gateway said went wrong with the way to the workspace. */
  private failed: Failure | null = null;
  /** Where the terminal is. */
  readonly url: URL;
  private current: string | null = null;
  /** Whether the terminal was said to be idle. */
  private idle = false;

  /** Opens the terminal of the workspace `id`, called `name`; `signedOut` hears, in a sentence, that the sign-in is over. */
  constructor(
    id: string,
    private readonly name: string,
    private readonly signedOut: (text: string) => void,
    key: (event: KeyboardEvent) => boolean,
  ) {
    const url = new URL(`/workspaces/${encodeURIComponent(id)}/terminal`, window.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.url = url;
    this.screen = new Screen(view.terminal, apply(settings.colours()), settings.fontSize(), {
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
          // Of what was open the end is told, in the same words.
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

  /** Has the gateway look for what stands in the way. */
  diagnose(): void {
    void diagnosis.run(this.url);
  }

  /** Why a socket was not let in: the gateway tells an ordinary request what it cannot tell a WebSocket. Null: try again. */
  private async refused(): Promise<string | null> {
    const refused = await refusal(this.url, { wasSignedIn: true });
    if (refused?.why === "sign-in-over") this.signedOut(refused.text);
    return refused?.text ?? null;
  }

  /** Leaves the terminal and the page. */
  dispose(): void {
    this.stopClock();
    this.terminal.dispose();
    this.screen.dispose();
    diagnosis.clear();
    details.clear();
    view.latency.hidden = true;
    view.size.textContent = "";
  }

  /** The first byte of the shell came. */
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
        const text = this.ending(state);
        this.screen.renew();
        if (state.clean || this.opened) this.screen.remark(`[${text}]`);
        showStatus(state.clean ? "ended" : "failed", text, true);
        // Whoever is elsewhere on the page stays there.
        if (this.screen.hasFocus) view.reconnect.focus();
        if (state.code === SIGNED_OUT) this.signedOut(state.text);
        // Nothing was open: a person wants to know why. What broke later may open again.
        if (this.failed !== null && !this.opened) this.diagnose();
        break;
      }
    }
  }

  /** How it ended, in a sentence. The long story of a way that fails stands beside it already. */
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

  /** A key takes back the warning that nothing was typed, and the gateway does not say so. */
  private takeBack(): void {
    if (!this.idle) return;
    this.idle = false;
    showStatus("open", `Connected to ${this.name}`);
  }

  /** Connects again now, if it is waiting to: the network is back. */
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

/** How the shell ended, in a sentence. */
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
  const legs = `browser to gateway ${milliseconds(gateway)}`;
  const rest = instance === null ? "gateway to instance not known yet" : `gateway to instance ${milliseconds(instance)}`;
  view.latency.textContent =
    instance === null ? milliseconds(gateway) : `${milliseconds(gateway)} + ${milliseconds(instance)}`;
  view.latency.title = `Round trips: ${legs}, ${rest}`;
  view.latency.setAttribute("aria-label", view.latency.title);
}
