// The legacy terminal protocol: what is typed goes out as TEXT, the shell's bytes come in as BINARY, and TEXT that
// comes in is an error in plain words. No DOM here, so that a test can drive it.

/** The longest piece of a paste, in UTF-16 units; the gateway takes messages up to 16 MiB. */
export const MAX_PIECE = 1 << 20;

/** A browser does not tell a page why an upgrade failed. */
export const REFUSED = "The gateway refused the terminal.";

/** How a terminal ended, in words for the status line. */
export interface Ending {
  /** Whether the shell ended by itself. */
  clean: boolean;
  text: string;
}

export interface Listener {
  opened(): void;
  output(bytes: Uint8Array): void;
  /** A line from the gateway, without its line end. */
  failed(text: string): void;
  closed(ending: Ending): void;
}

/** What this file needs of a WebSocket. */
export type Socket = Pick<WebSocket, "send" | "close" | "readyState" | "binaryType"> & {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
};

const OPEN = 1;

export class LegacyTerminal {
  private failure: string | null = null;
  private opened = false;
  private done = false;

  constructor(
    private readonly socket: Socket,
    private readonly listener: Listener,
  ) {
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.opened = true;
      listener.opened();
    };
    socket.onmessage = ({ data }: MessageEvent) => this.message(data);
    socket.onclose = ({ code, reason }: CloseEvent) => this.end(code, reason);
  }

  /** Sends what was typed or pasted. Before the socket is open nothing is sent. */
  type(text: string): void {
    for (let at = 0; at < text.length; ) {
      let end = Math.min(at + MAX_PIECE, text.length);
      if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end -= 1;
      if (this.socket.readyState !== OPEN) return;
      this.socket.send(text.slice(at, end));
      at = end;
    }
  }

  /** Sends bytes that are no text: xterm's mouse reports, one byte a UTF-16 unit. */
  typeBytes(units: string): void {
    if (this.socket.readyState !== OPEN) return;
    this.socket.send(Uint8Array.from(units, (unit) => unit.charCodeAt(0) & 0xff));
  }

  /** Leaves without waiting; nothing is told to the listener any more. */
  leave(): void {
    this.done = true;
    this.socket.close();
  }

  private message(data: unknown): void {
    if (this.done) return;
    if (data instanceof ArrayBuffer) {
      this.listener.output(new Uint8Array(data));
    } else if (typeof data === "string") {
      this.failure = data.replace(/\r?\n$/, "");
      this.listener.failed(this.failure);
    }
  }

  private end(code: number, reason: string): void {
    if (this.done) return;
    this.done = true;
    this.listener.closed(ending(code, reason, this.failure, this.opened));
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/** `text` without control characters and changes of direction: it quotes the far side. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}

/** What a close means, by its code; the gateway's own last line says it best. */
export function ending(code: number, reason: string, failure: string | null, opened: boolean): Ending {
  if (failure !== null) return { clean: false, text: failure };
  if (code === 1000) return { clean: true, text: "The shell ended." };
  if (!opened) return { clean: false, text: REFUSED };
  if (code === 1001 || code === 1012) return { clean: false, text: "The gateway is restarting." };
  if (code === 1006) return { clean: false, text: "The connection to the gateway broke." };
  return { clean: false, text: reason === "" ? `Closed with code ${code}.` : `Closed: ${reason} (${code}).` };
}
