// The xterm.js terminal in the page: size, links, search and clipboard.

import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { type ITheme, Terminal } from "@xterm/xterm";

import { MIN_CONTRAST } from "./colors";
import type { Size } from "./eicterm/index.js";
import { followable, printable } from "./text";

/** Lines of scrollback. */
const SCROLLBACK = 10_000;

/** The largest number of columns or rows that the gateway accepts. */
const MAX_CELLS = 1000;

const DECORATIONS = {
  matchOverviewRuler: "#d29922",
  activeMatchColorOverviewRuler: "#6fd3a8",
  matchBackground: "#5a4a1a",
  activeMatchBackground: "#8a6100",
};

export interface ScreenEvents {
  typed(text: string): void;
  /** Mouse reports: one byte a UTF-16 unit. */
  typedBytes(bytes: Uint8Array): void;
  resized(size: Size): void;
  /** The number of matches, and the index of the current one; -1 for none. */
  found(index: number, count: number): void;
  /** Whether `event` is a shortcut of the page, which the terminal does not get. */
  key(event: KeyboardEvent): boolean;
}

export class Screen {
  private readonly xterm: Terminal;
  private readonly fit = new FitAddon();
  private readonly search = new SearchAddon();
  private readonly watch: ResizeObserver;
  private known: Size = { cols: 80, rows: 24 };

  constructor(
    private readonly place: HTMLElement,
    theme: ITheme,
    fontSize: number,
    private readonly events: ScreenEvents,
  ) {
    this.xterm = new Terminal({
      allowProposedApi: true,
      cursorBlink: true,
      fontFamily: '"JetBrains Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace',
      fontSize,
      // At 1 the underscores of some fonts fall between two rows.
      lineHeight: 1.2,
      minimumContrastRatio: MIN_CONTRAST,
      scrollback: SCROLLBACK,
      theme,
      linkHandler: { activate: (event, text) => follow(event, text), allowNonHttpProtocols: false },
    });
    // Output is not trusted: it may neither read nor write the clipboard.
    this.xterm.parser.registerOscHandler(52, () => true);
    this.xterm.loadAddon(this.fit);
    this.xterm.loadAddon(this.search);
    this.xterm.loadAddon(new WebLinksAddon((event, text) => follow(event, text)));
    this.xterm.open(place);
    this.xterm.attachCustomKeyEventHandler((event) => !(event.type === "keydown" && events.key(event)));
    this.xterm.onData((text) => events.typed(text));
    this.xterm.onBinary((units) => events.typedBytes(Uint8Array.from(units, (unit) => unit.charCodeAt(0) & 0xff)));
    this.search.onDidChangeResults(({ resultIndex, resultCount }) => events.found(resultIndex, resultCount));
    this.watch = new ResizeObserver(() => this.refit());
    this.watch.observe(place);
    this.refit();
  }

  get size(): Size {
    return this.known;
  }

  /** Fits the terminal to its element, and reports a new size. */
  private refit(): void {
    const wanted = this.fit.proposeDimensions();
    if (wanted === undefined || Number.isNaN(wanted.cols) || Number.isNaN(wanted.rows)) return;
    const cols = Math.min(MAX_CELLS, Math.max(2, wanted.cols));
    const rows = Math.min(MAX_CELLS, Math.max(1, wanted.rows));
    if (cols === this.known.cols && rows === this.known.rows) return;
    this.known = { cols, rows };
    this.xterm.resize(cols, rows);
    this.events.resized(this.known);
  }

  /** Shows the shell's output; calls `parsed` once it is parsed. */
  show(text: string, parsed: () => void): void {
    this.xterm.write(text, parsed);
  }

  /** Prints a line of the page itself. */
  remark(text: string): void {
    // After the output of a preceding `renew`.
    this.xterm.write("", () => this.xterm.write(`\x1b[0m\r\n\x1b[2m${printable(text)}\x1b[0m\r\n`));
  }

  /** Resets the modes that the last shell set, and keeps its output. */
  renew(): void {
    // After what is still to be parsed. Leaving the alternate screen without being on it would move the cursor.
    this.xterm.write("", () => {
      if (this.xterm.buffer.active.type === "alternate") this.xterm.write("\x1b[?1049l");
      this.xterm.write("\x1b[!p\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?1016l\x1b[?2004l\x1b[?25h\x1b[0m");
    });
  }

  /** Whether keys go to the shell. */
  set enabled(enabled: boolean) {
    this.xterm.options.disableStdin = !enabled;
    this.xterm.options.cursorBlink = enabled;
  }

  set theme(theme: ITheme) {
    this.xterm.options.theme = theme;
  }

  set fontSize(size: number) {
    this.xterm.options.fontSize = size;
    this.refit();
  }

  /** Whether a screen reader reads the output. */
  set readAloud(aloud: boolean) {
    this.xterm.options.screenReaderMode = aloud;
  }

  get selection(): string {
    return this.xterm.getSelection();
  }

  paste(text: string): void {
    this.xterm.paste(text);
  }

  find(text: string, backwards: boolean): void {
    const options = { decorations: DECORATIONS, incremental: false };
    if (backwards) this.search.findPrevious(text, options);
    else this.search.findNext(text, options);
  }

  endSearch(): void {
    this.search.clearDecorations();
    this.xterm.clearSelection();
  }

  focus(): void {
    this.xterm.focus();
  }

  /** Whether the terminal, or no element, has the focus. */
  get hasFocus(): boolean {
    return document.activeElement === document.body || this.place.contains(document.activeElement);
  }

  dispose(): void {
    this.watch.disconnect();
    this.xterm.dispose();
    this.place.replaceChildren();
  }
}

/** Opens a link in a tab without access to this one. Needs Ctrl or Cmd, so that no stray click opens it. */
function follow(event: MouseEvent, text: string): void {
  const url = followable(text);
  if (url !== null && (event.ctrlKey || event.metaKey)) window.open(url, "_blank", "noopener,noreferrer");
}
