// One xterm and its connection. The legacy protocol knows no size: the shell is told 80x24, and so is xterm.

import { type ITheme, Terminal } from "@xterm/xterm";

import { type Ending, LegacyTerminal } from "./legacy";

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

export interface Watcher {
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

  constructor(private readonly place: HTMLElement) {
    this.xterm = new Terminal({
      cols: 80,
      rows: 24,
      cursorBlink: true,
      fontFamily: '"JetBrains Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace',
      fontSize: 14,
      scrollback: 5000,
      // The shell's bytes are not trusted: a link that they make is not followed.
      linkHandler: { activate: () => undefined },
      screenReaderMode: true,
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
    this.line = new LegacyTerminal(new WebSocket(url), {
      opened: () => {
        this.xterm.focus();
        watcher.opened();
      },
      output: (bytes) => this.xterm.write(bytes),
      failed: (text) => this.xterm.write(`\r\n\x1b[31m${printable(text)}\x1b[0m\r\n`),
      closed: (ending) => {
        this.xterm.options.disableStdin = true;
        this.xterm.options.cursorBlink = false;
        watcher.closed(ending);
      },
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

/** `text` without control characters: it quotes the far side. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "\ufffd");
}
