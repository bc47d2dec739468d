// A terminal of a gateway: one socket at a time, opened again when it breaks. No framework, no DOM but WebSocket and
// timers; what shows the terminal is the caller's.

import { GatewayError } from "./ask.js";
import * as codec from "./codec.js";
import { isDenial, next, pause, sentence } from "./ending.js";
import { InputQueue } from "./input.js";

/** What this file needs of a WebSocket. */
export type Socket = Pick<WebSocket, "send" | "close" | "readyState" | "protocol" | "binaryType"> & {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
};

export interface Options {
  /** `wss://…/workspaces/ID/terminal` */
  url: string | URL;
  /** The size that the terminal has now; asked for before each attempt. */
  size: () => codec.Size;
  /**
   * A single-use ticket for the next socket, where cookies do not reach; asked for before each attempt. A `GatewayError`
   * that will pass is tried again as a broken socket is; any other error ends the terminal.
   */
  ticket?: () => Promise<string>;
  /** A name for the terminal, for people. */
  name?: string;
  /**
   * Asked when a socket could not be opened, since a browser does not tell a page why, and when access ended while one was
   * open: the reason to give up, or null when there is none.
   */
  refused?: () => Promise<string | null>;
  /**
   * How often the latency is measured, in milliseconds. A connection on which several measurements in turn go unanswered, and
   * nothing else comes either, counts as broken. The default is 5000; 0 is never, and then only the browser notices.
   */
  pingEvery?: number;
  /** How many attempts in a row may fail or break soon before giving up. The default is 20. */
  maxAttempts?: number;
  /** Makes a socket; the default is a WebSocket. */
  socket?: (url: string | URL, protocols: string[]) => Socket;
}

/** Where a terminal stands. */
export type State =
  | { phase: "connecting"; attempt: number }
  | { phase: "open"; session: string }
  /** Broken; the next attempt begins in `ms`. */
  | { phase: "waiting"; text: string; ms: number; attempt: number }
  /** Over. `clean`: the shell ended by itself. */
  | { phase: "ended"; text: string; clean: boolean; code: number };

/** The legs of a keystroke's way, in milliseconds. */
export interface Latency {
  /** From here to the gateway and back. */
  gateway: number;
  /** From the gateway to the instance and back; null while that is not known. */
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
  /** A stage of connecting began, or passed and took `ms`. */
  stage?(name: string, ms: number | null): void;
  latency?(latency: Latency): void;
  /** The session ends in `secs` seconds: `idle` or `max`. */
  warn?(what: string, secs: number): void;
  exit?(exit: Exit): void;
  failed?(failure: Failure): void;
  /** What was typed was too much to keep. */
  inputRefused?(bytes: number): void;
}

const OPEN = 1;

/** An acknowledgement waits this long for more to acknowledge, in milliseconds. */
const ACK_DELAY = 100;

/** How long a socket may take to open and the gateway to greet, in milliseconds. */
const GREETING_DEADLINE = 30_000;

/** So many pings without a sign of life, and the connection is broken: half a minute, as they are sent by default. */
const MAX_UNANSWERED = 6;

/** A connection that held for this long, in milliseconds, worked: what breaks it begins to count anew. */
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
  /** Whether the socket of this attempt opened. */
  private opened = false;
  /** The size that the gateway was told last. */
  private told: codec.Size | null = null;
  /** When the gateway greeted, by `performance.now()`. */
  private greeted: number | null = null;
  private ending = false;
  /** The last ping: its number, and when it was sent. */
  private ping = { number: 0, sent: 0 };
  /** How many pings were sent since anything was heard. */
  private unanswered = 0;
  private timers: { greeting?: Timer; ping?: Timer; ack?: Timer; retry?: Timer } = {};
  private disposed = false;

  constructor(
    private readonly options: Options,
    private readonly listener: Listener,
  ) {
    void this.open();
  }

  /** Types `text`. */
  type(text: string): void {
    this.send(codec.typed(text));
  }

  /** Types bytes that are no text. */
  send(bytes: Uint8Array): void {
    if (this.state.phase === "ended" || this.state.phase === "waiting") return;
    if (this.input.add(bytes)) this.flush();
    else this.listener.inputRefused?.(bytes.length);
  }

  /** Says that no more input follows, once what was typed is sent. */
  end(): void {
    if (this.state.phase === "ended" || this.state.phase === "waiting") return;
    this.ending = true;
    this.flush();
  }

  /** Tells the terminal its new size. Before the gateway greets, the size that it has then is told. */
  resize(size: codec.Size): void {
    if (this.state.phase !== "open") return;
    this.told = size;
    this.write(codec.resize(size));
  }

  /** Connects again, now: after the end, or without waiting for the next attempt. */
  reconnect(): void {
    if (this.disposed || this.state.phase === "open" || this.state.phase === "connecting") return;
    this.attempt = 0;
    void this.open();
  }

  /** Leaves for good; nothing is heard any more. */
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
      // A gateway that is away gives no tickets either, and may be back.
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
      this.told = { cols, rows };
      this.write(codec.attach(name === undefined ? this.told : { ...this.told, name }));
    };
    socket.onmessage = ({ data }: MessageEvent) => this.message(data);
    socket.onclose = ({ code, reason }: CloseEvent) => {
      this.socket = null;
      void this.closed(code, reason);
    };
  }

  /** The socket says nothing any more, its own end included. */
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
        // What is parsed late is no news to the next connection, whose count begins anew.
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
    if (size.cols !== this.told?.cols || size.rows !== this.told.rows) this.resize(size);
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

  /** At half the window at once, else a little later with what comes until then. */
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
    // An older one that comes late says nothing of now.
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
      // Whatever went wrong with asking: it may be tried again.
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
    // Even "at once" waits a moment after the first time: a gateway may be long in restarting.
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
