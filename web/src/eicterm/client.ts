// A terminal of a gateway: one socket at a time, reopened when it breaks. It needs no framework, and of the browser only
// WebSocket and timers; the caller renders the output.

import { GatewayError } from "./ask.js";
import * as codec from "./codec.js";
import { isDenial, next, pause, sentence } from "./ending.js";
import { InputQueue } from "./input.js";

/** The part of WebSocket that this file uses. */
export type Socket = Pick<WebSocket, "send" | "close" | "readyState" | "protocol" | "binaryType"> & {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
};

export interface Options {
  /** `wss://…/workspaces/ID/terminal` */
  url: string | URL;
  /** Returns the terminal's current size; called before each attempt. */
  size: () => codec.Size;
  /**
   * Returns a single-use ticket for the next socket, for pages whose cookies are not sent; called before each attempt. After a
   * `GatewayError` that is passing the client reconnects as after a broken socket; any other error ends the terminal.
   */
  ticket?: () => Promise<string>;
  /** A display name for the terminal. */
  name?: string;
  /**
   * Called when a socket could not be opened, because a browser does not report the reason, and when access ended while one
   * was open. Returns the reason to give up, or null to retry.
   */
  refused?: () => Promise<string | null>;
  /**
   * The interval of latency measurements, in milliseconds. A connection counts as broken after several consecutive measurements
   * without an answer or any other message. The default is 5000; with 0, only the browser detects a broken connection.
   */
  pingEvery?: number;
  /** The number of consecutive attempts that may fail or break early. The default is 20. */
  maxAttempts?: number;
  /** Creates a socket; the default is a WebSocket. */
  socket?: (url: string | URL, protocols: string[]) => Socket;
}

/** The state of a terminal. */
export type State =
  | { phase: "connecting"; attempt: number }
  | { phase: "open"; session: string }
  /** Broken; the next attempt starts in `ms`. */
  | { phase: "waiting"; text: string; ms: number; attempt: number }
  /** Ended. `clean`: the shell exited. */
  | { phase: "ended"; text: string; clean: boolean; code: number };

/** Round-trip times in milliseconds. */
export interface Latency {
  /** Browser to gateway. */
  gateway: number;
  /** Gateway to instance; null until measured. */
  instance: number | null;
}

export type Exit = Extract<codec.Message, { t: "exit" }>;
export type Failure = Extract<codec.Message, { t: "error" }>;

/** Receives a terminal's events; each member is optional. */
export interface Listener {
  /**
   * Output as text. Messages cut characters anywhere, and xterm.js loses some of them when it is given such bytes, so give it
   * this text. Call `parsed` once it is parsed; acknowledgements still count bytes. An empty text is the start of a character.
   */
  text?(text: string, parsed: () => void): void;
  /** Output as bytes, for a listener without `text`. Call `parsed` once they are parsed. */
  output?(bytes: Uint8Array, parsed: () => void): void;
  state?(state: State): void;
  /** A stage of connecting started, or passed after `ms`. */
  stage?(name: string, ms: number | null): void;
  latency?(latency: Latency): void;
  /** The session ends in `secs` seconds, because of `idle` or `max`. */
  warn?(what: string, secs: number): void;
  exit?(exit: Exit): void;
  failed?(failure: Failure): void;
  /** Input was dropped because too much of it is queued. */
  inputRefused?(bytes: number): void;
}

const OPEN = 1;

/** The delay of an acknowledgement, to combine it with later ones, in milliseconds. */
const ACK_DELAY = 100;

/** The timeout for opening the socket and receiving `hello`, in milliseconds. */
const GREETING_DEADLINE = 30_000;

/** The number of pings without any message after which the connection is broken: half a minute by default. */
const MAX_UNANSWERED = 6;

/** A connection that lasted this long, in milliseconds, resets the count of attempts. */
const SETTLED = 30_000;

export class Terminal {
  private socket: Socket | null = null;
  private readonly input = new InputQueue();
  private state: State = { phase: "connecting", attempt: 1 };
  private attempt = 0;
  private failure: Failure | null = null;
  private window = 0;
  /** Decodes the output of one session across its messages. */
  private decoder = newDecoder();
  private parsed = 0;
  private acked = 0;
  /** Whether this attempt's socket opened. */
  private opened = false;
  /** The size that was sent last. */
  private sentSize: codec.Size | null = null;
  /** When `hello` arrived, by `performance.now()`. */
  private greeted: number | null = null;
  private ending = false;
  /** The last ping: its number, and when it was sent. */
  private ping = { number: 0, sent: 0 };
  /** The number of pings since the last message. */
  private unanswered = 0;
  private timers: { greeting?: Timer; ping?: Timer; ack?: Timer; retry?: Timer } = {};
  private disposed = false;

  constructor(
    private readonly options: Options,
    private readonly listener: Listener,
  ) {
    void this.open();
  }

  /** Sends `text` as input. */
  type(text: string): void {
    this.send(codec.typed(text));
  }

  /** Sends input as bytes. */
  send(bytes: Uint8Array): void {
    if (this.state.phase === "ended" || this.state.phase === "waiting") return;
    if (this.input.add(bytes)) this.flush();
    else this.listener.inputRefused?.(bytes.length);
  }

  /** Ends the input after everything that is queued. */
  end(): void {
    if (this.state.phase === "ended" || this.state.phase === "waiting") return;
    this.ending = true;
    this.flush();
  }

  /** Resizes the terminal. Before `hello`, this has no effect: the size at that time is sent then. */
  resize(size: codec.Size): void {
    if (this.state.phase !== "open") return;
    this.sentSize = size;
    this.write(codec.resize(size));
  }

  /** Reconnects at once: after the end, or instead of a pending retry. */
  reconnect(): void {
    if (this.disposed || this.state.phase === "open" || this.state.phase === "connecting") return;
    this.attempt = 0;
    void this.open();
  }

  /** Closes the terminal for good; no listener is called afterwards. */
  dispose(): void {
    this.disposed = true;
    this.drop();
  }

  private async open(): Promise<void> {
    this.drop();
    this.attempt += 1;
    this.failure = null;
    this.opened = false;
    this.ending = false;
    this.input.clear();
    this.become({ phase: "connecting", attempt: this.attempt });
    const protocols = [codec.SUBPROTOCOL];
    try {
      if (this.options.ticket !== undefined) protocols.push(codec.TICKET_PREFIX + (await this.options.ticket()));
    } catch (error) {
      if (this.disposed) return;
      // The gateway may be restarting.
      if (error instanceof GatewayError && error.isPassing) void this.closed(1006, "");
      else this.over(1006, error instanceof Error ? error.message : String(error), false);
      return;
    }
    if (this.disposed) return;
    const make = this.options.socket ?? ((url, offers) => new WebSocket(url, offers) as Socket);
    const socket = make(this.options.url, protocols);
    this.socket = socket;
    this.timers.greeting = setTimeout(() => this.lose(), GREETING_DEADLINE);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.opened = true;
      const { cols, rows } = this.options.size();
      const name = this.options.name;
      this.sentSize = { cols, rows };
      this.write(codec.attach(name === undefined ? this.sentSize : { ...this.sentSize, name }));
    };
    socket.onmessage = ({ data }: MessageEvent) => this.message(data);
    socket.onclose = ({ code, reason }: CloseEvent) => {
      this.socket = null;
      void this.closed(code, reason);
    };
  }

  /** Abandons a silent socket, whose close event may never come. */
  private lose(): void {
    this.drop();
    void this.closed(1006, "");
  }

  private message(data: unknown): void {
    this.unanswered = 0;
    if (data instanceof ArrayBuffer) {
      const bytes = new Uint8Array(data);
      const socket = this.socket;
      const parsed = () => {
        // Positions start again with each connection.
        if (this.socket !== socket) return;
        this.parsed += bytes.length;
        this.acknowledge();
      };
      if (this.listener.text !== undefined) this.listener.text(this.decoder.decode(bytes, { stream: true }), parsed);
      else if (this.listener.output !== undefined) this.listener.output(bytes, parsed);
      else parsed();
      return;
    }
    const message = typeof data === "string" ? codec.parse(data) : null;
    switch (message?.t) {
      case "hello":
        this.hello(message);
        break;
      case "stage":
        this.listener.stage?.(message.name, message.ms ?? null);
        break;
      case "ack":
        this.input.ack(message.in);
        this.flush();
        break;
      case "pong":
        this.pong(message);
        break;
      case "warn":
        this.listener.warn?.(message.what, message.secs);
        break;
      case "exit":
        this.listener.exit?.(message);
        break;
      case "error":
        this.failure = message;
        this.listener.failed?.(message);
        break;
      default:
    }
  }

  private hello(hello: Extract<codec.Message, { t: "hello" }>): void {
    this.decoder = newDecoder();
    this.parsed = hello.out_off;
    this.acked = hello.out_off;
    this.window = hello.limits.window;
    this.input.begin(hello.limits, hello.in_off);
    clearTimeout(this.timers.greeting);
    this.greeted = performance.now();
    this.become({ phase: "open", session: hello.session });
    const size = this.options.size();
    if (size.cols !== this.sentSize?.cols || size.rows !== this.sentSize.rows) this.resize(size);
    this.flush();
    const every = this.options.pingEvery ?? 5000;
    if (every > 0) {
      this.measure();
      this.timers.ping = setInterval(() => this.measure(), every);
    }
  }

  private flush(): void {
    for (let piece = this.input.next(); piece !== null; piece = this.input.next()) this.write(codec.input(piece));
    if (!this.ending || !this.input.isSent) return;
    this.ending = false;
    this.write(codec.endOfInput());
  }

  /** Acknowledges at once from half the window on, else after a delay. */
  private acknowledge(): void {
    const say = () => {
      clearTimeout(this.timers.ack);
      delete this.timers.ack;
      if (this.parsed === this.acked) return;
      this.acked = this.parsed;
      this.write(codec.ack(this.acked));
    };
    if (this.parsed - this.acked >= this.window / 2) say();
    else this.timers.ack ??= setTimeout(say, ACK_DELAY);
  }

  private measure(): void {
    if (this.unanswered >= MAX_UNANSWERED) {
      this.lose();
      return;
    }
    this.unanswered += 1;
    this.ping = { number: this.ping.number + 1, sent: performance.now() };
    this.write(codec.ping(this.ping.number));
  }

  private pong({ t0, gateway_us, ssh_us }: Extract<codec.Message, { t: "pong" }>): void {
    // Ignore the answer to an older ping.
    if (t0 !== this.ping.number) return;
    this.listener.latency?.({
      gateway: Math.max(0, performance.now() - this.ping.sent - gateway_us / 1000),
      instance: ssh_us === null ? null : ssh_us / 1000,
    });
  }

  private async closed(code: number, reason: string): Promise<void> {
    this.stopTimers();
    // A character that the end of the output cut.
    const rest = this.decoder.decode();
    if (rest !== "") this.listener.text?.(rest, () => undefined);
    if (this.greeted !== null && performance.now() - this.greeted >= SETTLED) this.attempt = 1;
    this.greeted = null;
    const text = this.failure?.message ?? sentence(code, reason);
    let then = next(code);
    if ((!this.opened || isDenial(code)) && this.options.refused !== undefined) {
      // A failed request is a reason to retry.
      const why = await this.options.refused().catch(() => null);
      if (this.disposed) return;
      if (why !== null) {
        this.over(code, why, false);
        return;
      }
    }
    if (this.attempt >= (this.options.maxAttempts ?? 20)) then = "stop";
    if (then === "stop") {
      this.over(code, text, code === 1000);
      return;
    }
    // Only the first retry is immediate: a gateway may take long to restart.
    const ms = then === "at-once" && this.attempt <= 1 ? 0 : pause(this.attempt);
    this.become({ phase: "waiting", text, ms, attempt: this.attempt });
    this.timers.retry = setTimeout(() => void this.open(), ms);
  }

  private over(code: number, text: string, clean: boolean): void {
    this.become({ phase: "ended", text, clean, code });
  }

  private become(state: State): void {
    this.state = state;
    if (!this.disposed) this.listener.state?.(state);
  }

  private write(data: Uint8Array<ArrayBuffer>): void {
    if (this.socket?.readyState === OPEN) this.socket.send(data);
  }

  private drop(): void {
    this.stopTimers();
    const socket = this.socket;
    this.socket = null;
    if (socket === null) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  private stopTimers(): void {
    clearTimeout(this.timers.greeting);
    clearInterval(this.timers.ping);
    clearTimeout(this.timers.ack);
    clearTimeout(this.timers.retry);
    this.timers = {};
  }
}

type Timer = ReturnType<typeof setTimeout>;

/** Keeps a byte order mark, which is output like any other. */
function newDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}
