// One xterm and its connection. The legacy protocol knows no size: the shell is told 80x24, and so is xterm.

import { type ITheme, Terminal } from "@xterm/xterm";

import { type Ending, LegacyTerminal, printable } from "./legacy";

const DARK: ITheme = {
  background: "#0d1117",
  foreground: "#e6edf3",
  cursor: "#6fd3a8",
  selectionBackground: "#2f4a63",
  black: "#484f58",
  red: "#ff7b72",
  green: "#3fb950",
  yellow: "#d29922",
  blue: "#58a6ff",
  magenta: "#bc8cff",
  cyan: "#39c5cf",
  white: "#b1bac4",
};

const LIGHT: ITheme = {
  background: "#ffffff",
  foreground: "#1f2328",
  cursor: "#0b7a4b",
  selectionBackground: "#b6d7f5",
  black: "#24292f",
  red: "#cf222e",
  green: "#116329",
  yellow: "#7a5200",
  blue: "#0550ae",
  magenta: "#6639ba",
  cyan: "#1b7c83",
  white: "#6e7781",
};

/**
 * How many bytes may wait to be drawn. xterm throws above 50 MB, and the legacy protocol cannot hold the shell back,
 * so that a flood is cut here, where it can be said.
 */
const MAX_BACKLOG = 8 << 20;

export interface Watcher {
  /** The first byte of the shell came. */
  opened(): void;
  closed(ending: Ending): void;
}

export class TerminalView {
  private readonly xterm: Terminal;
  private readonly scheme = matchMedia("(prefers-color-scheme: light)");
  private readonly recolour = () => {
    this.xterm.options.theme = this.scheme.matches ? LIGHT : DARK;
  };
  private line: LegacyTerminal | null = null;
  private backlog = 0;
  private skipped = 0;

  constructor(private readonly place: HTMLElement) {
    this.xterm = new Terminal({
      cols: 80,
      rows: 24,
      cursorBlink: true,
      fontFamily: '"JetBrains Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace',
      fontSize: 14,
      // At 1 the underscores of some fonts fall between two rows.
      lineHeight: 1.2,
      scrollback: 5000,
      // The shell's bytes are not trusted: a link that they make is not followed.
      linkHandler: { activate: () => undefined },
    });
    // Neither may they read or write the clipboard.
    this.xterm.parser.registerOscHandler(52, () => true);
    this.recolour();
    this.scheme.addEventListener("change", this.recolour);
    this.xterm.open(place);
    this.xterm.onData((text) => this.line?.type(text));
    this.xterm.onBinary((units) => this.line?.typeBytes(units));
  }

  /** Opens the terminal of workspace `id`. */
  connect(id: string, watcher: Watcher): void {
    const url = new URL(`/workspaces/${encodeURIComponent(id)}/terminal`, window.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    let silent = true;
    this.line = new LegacyTerminal(new WebSocket(url), {
      opened: () => this.xterm.focus(),
      output: (bytes) => {
        // The gateway accepts the socket before it dials: only the shell's own bytes say that there is one.
        if (silent) watcher.opened();
        silent = false;
        this.draw(bytes);
      },
      failed: (text) => this.xterm.write(`\r\n\x1b[31m${printable(text)}\x1b[0m\r\n`),
      closed: (ending) => {
        this.xterm.options.disableStdin = true;
        this.xterm.options.cursorBlink = false;
        watcher.closed(ending);
      },
    });
  }

  private draw(bytes: Uint8Array): void {
    if (this.backlog + bytes.length > MAX_BACKLOG) {
      this.skipped += bytes.length;
      return;
    }
    if (this.skipped > 0) {
      this.xterm.write(`\x1b[0m\r\n[${this.skipped} bytes not shown: they came faster than they can be drawn]\r\n`);
      this.skipped = 0;
    }
    this.backlog += bytes.length;
    this.xterm.write(bytes, () => {
      this.backlog -= bytes.length;
    });
  }

  /** Leaves the terminal and the page. */
  dispose(): void {
    this.line?.leave();
    this.scheme.removeEventListener("change", this.recolour);
    this.xterm.dispose();
    this.place.replaceChildren();
  }
}

