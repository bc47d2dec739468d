import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { GatewayError } from "./ask.js";
import { type Listener, type Options, type Socket, type State, Terminal } from "./client.js";
import * as codec from "./codec.js";
import { next, pause } from "./ending.js";
import { InputQueue, MAX_WAITING } from "./input.js";

/** A socket whose other end is the test. */
class Wire implements Socket {
  binaryType: BinaryType = "blob";
  readyState: WebSocket["readyState"] = 0;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  readonly sent: Uint8Array[] = [];
  readonly protocol = "eicterm.v1";

  constructor(readonly offers: string[]) {}

  send(data: unknown): void {
    this.sent.push(data as Uint8Array);
  }

  close(): void {
    this.readyState = 3;
  }

  opens(): void {
    this.readyState = 1;
    this.onopen?.({} as Event);
  }

  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }

  prints(bytes: Uint8Array): void {
    this.onmessage?.({ data: bytes.slice().buffer } as MessageEvent);
  }

  ends(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason } as CloseEvent);
  }
}

const LIMITS = { max_frame: 8, window: 100, in_window: 20 };

function hello(): object {
  return {
    t: "hello",
    v: 1,
    session: "s",
    resume_token: null,
    out_off: 0,
    in_off: 0,
    limits: LIMITS,
    caps: { resume: false },
  };
}

function start(options: Partial<Options> = {}, listener: Listener = {}) {
  const wires: Wire[] = [];
  const states: State[] = [];
  const terminal = new Terminal(
    {
      url: "ws://gateway.test/workspaces/1/terminal",
      size: () => ({ cols: 132, rows: 43 }),
      pingEvery: 0,
      socket: (_, offers) => {
        const wire = new Wire(offers);
        wires.push(wire);
        return wire;
      },
      ...options,
    },
    { ...listener, state: (state) => states.push(state) },
  );
  const wire = () => wires[wires.length - 1]!;
  return { terminal, wires, wire, states };
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const settled = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("the codec", () => {
  it("writes each opcode as the specification has it", () => {
    expect([...codec.resize({ cols: 132, rows: 43 })]).toEqual([1, 0, 132, 0, 43]);
    expect([...codec.ack(65_536)]).toEqual([2, 0, 0, 0, 0, 0, 1, 0, 0]);
    expect([...codec.ping(2 ** 53 - 1)]).toEqual([3, 0, 0x1f, 255, 255, 255, 255, 255, 255]);
    expect([...codec.input(codec.typed("€"))]).toEqual([0, 0xe2, 0x82, 0xac]);
    expect([...codec.endOfInput()]).toEqual([5]);
    expect(text(codec.attach({ cols: 80, rows: 24 }))).toBe('\u0010{"cols":80,"rows":24}');
  });

  it("ignores what it does not know", () => {
    expect(codec.parse('{"t":"later"}')).toBeNull();
    expect(codec.parse("no json")).toBeNull();
    expect(codec.parse("[1]")).toBeNull();
    expect(codec.parse('{"t":"ack","in":3,"more":1}')).toEqual({ t: "ack", in: 3, more: 1 });
  });
});

describe("the input", () => {
  it("is cut to frames and held back at the window", () => {
    const queue = new InputQueue();
    expect(queue.add(new Uint8Array(50))).toBe(true);
    expect(queue.next()).toBeNull();
    queue.begin(LIMITS, 0);
    const sizes = () => {
      const all: number[] = [];
      for (let piece = queue.next(); piece !== null; piece = queue.next()) all.push(piece.length);
      return all;
    };
    expect(sizes()).toEqual([8, 8, 4]);
    queue.ack(10);
    expect(sizes()).toEqual([8, 2]);
    queue.ack(30);
    expect(sizes()).toEqual([8, 8, 4]);
    expect(queue.add(new Uint8Array(MAX_WAITING + 1))).toBe(false);
  });
});

describe("a terminal", () => {
  it("attaches with its size, and types once it is greeted", async () => {
    const { terminal, wire, states } = start();
    await settled();
    terminal.type("ls\r");
    expect(wire().offers).toEqual(["eicterm.v1"]);
    wire().opens();
    expect(text(wire().sent[0]!)).toContain('{"cols":132,"rows":43}');
    expect(wire().sent).toHaveLength(1);
    wire().says(hello());
    expect(text(wire().sent[1]!)).toBe("\0ls\r");
    terminal.resize({ cols: 80, rows: 24 });
    expect([...wire().sent[2]!]).toEqual([1, 0, 80, 0, 24]);
    expect(states.map(({ phase }) => phase)).toEqual(["connecting", "open"]);
  });

  it("acknowledges what was parsed, at half the window at once", async () => {
    const waiting: (() => void)[] = [];
    const { wire } = start({}, { output: (_, parsed) => waiting.push(parsed) });
    await settled();
    wire().opens();
    wire().says(hello());
    wire().prints(new Uint8Array(10));
    wire().prints(new Uint8Array(40));
    await vi.advanceTimersByTimeAsync(1000);
    expect(wire().sent).toHaveLength(1);
    waiting[0]!();
    await vi.advanceTimersByTimeAsync(100);
    expect([...wire().sent[1]!]).toEqual([...codec.ack(10)]);
    waiting[1]!();
    await vi.advanceTimersByTimeAsync(100);
    expect([...wire().sent[2]!]).toEqual([...codec.ack(50)]);
    wire().prints(new Uint8Array(60));
    waiting[2]!();
    expect([...wire().sent[3]!]).toEqual([...codec.ack(110)]);
  });

  it("decodes output that is cut at every byte", async () => {
    const said = "\ufeff\u2026\u2014\u201c\u2022\u200b\u{1f600}\u00e9x";
    let seen = "";
    const show = (text: string, parsed: () => void) => {
      seen += text;
      parsed();
    };
    const { wire } = start({}, { text: show });
    await settled();
    wire().opens();
    wire().says(hello());
    const bytes = codec.typed(said);
    for (const byte of bytes) wire().prints(Uint8Array.of(byte));
    expect(seen).toBe(said);
    await vi.advanceTimersByTimeAsync(100);
    // Bytes are acknowledged, not characters.
    expect([...wire().sent.at(-1)!]).toEqual([...codec.ack(bytes.length)]);
  });

  it("starts each session between two characters", async () => {
    let seen = "";
    const { wire } = start({}, { text: (text) => (seen += text) });
    await settled();
    wire().opens();
    wire().says(hello());
    wire().prints(Uint8Array.of(0x61, 0xe2, 0x80));
    wire().ends(1006);
    await vi.advanceTimersByTimeAsync(1000);
    expect(seen).toBe("a\ufffd");
    wire().opens();
    wire().says(hello());
    wire().prints(Uint8Array.of(0xa6, 0x62));
    expect(seen).toBe("a\ufffd\ufffdb");
  });

  it("opens again with growing pauses when the socket breaks, and not when the shell ends", async () => {
    const { wires, wire, states } = start();
    await settled();
    wire().opens();
    wire().says(hello());
    wire().ends(1006);
    await settled();
    expect(states.at(-1)).toMatchObject({ phase: "waiting", attempt: 1 });
    await vi.advanceTimersByTimeAsync(500);
    expect(wires).toHaveLength(2);
    wire().opens();
    wire().says(hello());
    wire().says({ t: "exit", code: 3 });
    wire().ends(1000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(wires).toHaveLength(2);
    expect(states.at(-1)).toEqual({ phase: "ended", text: "The shell ended.", clean: true, code: 1000 });
  });

  it("does not send to a new shell what was typed for the old one", async () => {
    const { terminal, wire } = start();
    await settled();
    wire().opens();
    wire().says(hello());
    terminal.type("x".repeat(40));
    wire().ends(1006);
    terminal.type("rm -rf /");
    await vi.advanceTimersByTimeAsync(1000);
    wire().opens();
    wire().says(hello());
    expect(wire().sent).toHaveLength(1);
  });

  it("reports the gateway's error and stops if a retry cannot help", async () => {
    const failures: string[] = [];
    const { wires, wire, states } = start({}, { failed: ({ hint }) => failures.push(hint ?? "") });
    await settled();
    wire().opens();
    wire().says({ t: "error", stage: "key-push", code: "denied", message: "not allowed", hint: "allow it" });
    wire().ends(4500, "key-push failed");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(failures).toEqual(["allow it"]);
    expect(states.at(-1)).toEqual({ phase: "ended", text: "not allowed", clean: false, code: 4500 });
    expect(wires).toHaveLength(1);
  });

  it("asks why it was refused, and shows a fresh ticket each time", async () => {
    let tickets = 0;
    let reason: string | null = null;
    const { terminal, wires, wire, states } = start({
      ticket: async () => `t${(tickets += 1)}`,
      refused: async () => reason,
    });
    await settled();
    expect(wire().offers).toEqual(["eicterm.v1", "ticket.t1"]);
    wire().ends(1006);
    await vi.advanceTimersByTimeAsync(1000);
    expect(wire().offers).toEqual(["eicterm.v1", "ticket.t2"]);
    reason = "The session is over.";
    wire().ends(1006);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(wires).toHaveLength(2);
    expect(states.at(-1)).toMatchObject({ phase: "ended", text: "The session is over." });
    terminal.reconnect();
    await settled();
    expect(wire().offers[1]).toBe("ticket.t3");
  });

  it("asks why access ended, and goes on where asking fails", async () => {
    const answers: (() => Promise<string | null>)[] = [
      () => Promise.reject(new Error("no way to ask")),
      async () => "Your sign-in is over.",
      async () => null,
    ];
    const { terminal, wires, wire, states } = start({ refused: () => answers.shift()!() });
    await settled();
    wire().ends(1006);
    await vi.advanceTimersByTimeAsync(1000);
    expect(wires).toHaveLength(2);
    for (const [code, text] of [
      [4403, "Your sign-in is over."],
      [4401, "Your sign-in is over. Sign in again."],
    ] as const) {
      wire().opens();
      wire().says(hello());
      wire().ends(code);
      await settled();
      expect(states.at(-1)).toEqual({ phase: "ended", text, clean: false, code });
      terminal.reconnect();
      await settled();
    }
    // What ended otherwise is no question of access.
    wire().opens();
    wire().ends(4408);
    await settled();
    expect(answers).toEqual([]);
    expect(states.at(-1)).toMatchObject({ phase: "ended", code: 4408 });
  });

  it("asks again for a ticket that a gateway that is away did not give, and not for one that it refused", async () => {
    const answers = [new GatewayError(0, "away"), new GatewayError(503, "stopping"), null, new GatewayError(401, "not signed in")];
    const { terminal, wires, wire, states } = start({
      ticket: async () => {
        const error = answers.shift();
        if (error) throw error;
        return "t";
      },
      refused: async () => null,
    });
    await settled();
    expect(states.at(-1)).toMatchObject({ phase: "waiting", attempt: 1 });
    await vi.advanceTimersByTimeAsync(5000);
    expect(wires).toHaveLength(1);
    expect(wire().offers).toEqual(["eicterm.v1", "ticket.t"]);
    wire().ends(4404);
    await settled();
    terminal.reconnect();
    await settled();
    expect(wires).toHaveLength(1);
    expect(states.at(-1)).toMatchObject({ phase: "ended", text: "not signed in" });
  });

  it("waits longer and longer for a gateway that greets and then breaks, and not after what worked for long", async () => {
    const { wires, wire, states } = start({ pingEvery: 1000, maxAttempts: 5 });
    const pauses: number[] = [];
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      await settled();
      wire().opens();
      wire().says(hello());
      // An answer to a ping is no proof that it works.
      wire().says({ t: "pong", t0: attempt, gateway_us: 0, ssh_us: null });
      wire().ends(4429);
      await settled();
      const now = states.at(-1)!;
      if (now.phase !== "waiting") throw new Error(now.phase);
      pauses.push(now.ms);
      await vi.advanceTimersByTimeAsync(now.ms);
    }
    expect(wires).toHaveLength(5);
    expect(pauses.every((ms, at) => ms >= 250 * 2 ** at && ms <= 500 * 2 ** at)).toBe(true);
    // The fifth holds, and is not the last for all that.
    wire().opens();
    wire().says(hello());
    for (let second = 0; second < 60; second += 1) {
      await vi.advanceTimersByTimeAsync(1000);
      wire().prints(new Uint8Array(1));
    }
    wire().ends(1006);
    await settled();
    expect(states.at(-1)).toMatchObject({ phase: "waiting", attempt: 1 });
    // And then it gives up.
    for (let attempt = 2; attempt <= 5; attempt += 1) {
      await vi.advanceTimersByTimeAsync(30_000);
      wire().ends(1006);
      await settled();
    }
    expect(states.at(-1)).toMatchObject({ phase: "ended", clean: false });
  });

  it("gives up a connection that falls silent, and no other", async () => {
    const { wires, wire, states } = start({ pingEvery: 1000 });
    await settled();
    wire().opens();
    wire().says(hello());
    // Anything that comes is a sign of life; a flood may hold pongs up.
    for (let second = 0; second < 60; second += 5) {
      await vi.advanceTimersByTimeAsync(5000);
      wire().prints(new Uint8Array(1));
    }
    expect(wires).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(6000);
    expect(states.at(-1)).toMatchObject({ phase: "open" });
    await vi.advanceTimersByTimeAsync(1000);
    expect(wire().readyState).toBe(3);
    expect(states.at(-1)).toMatchObject({ phase: "waiting", text: "The connection to the gateway broke." });
    // One that does not open, or does not greet, is given up as well.
    await vi.advanceTimersByTimeAsync(500);
    expect(wires).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(states.at(-1)).toMatchObject({ phase: "waiting" });
    await vi.advanceTimersByTimeAsync(1000);
    expect(wires).toHaveLength(3);
    wire().opens();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(states.at(-1)).toMatchObject({ phase: "waiting" });
  });

  it("does not acknowledge on one connection what came on another", async () => {
    const late: (() => void)[] = [];
    const { wire } = start({}, { output: (_, parsed) => late.push(parsed) });
    await settled();
    wire().opens();
    wire().says(hello());
    wire().prints(new Uint8Array(90));
    wire().ends(1006);
    late[0]!();
    await vi.advanceTimersByTimeAsync(1000);
    wire().opens();
    wire().says(hello());
    late[0]!();
    await vi.advanceTimersByTimeAsync(1000);
    expect(wire().sent).toHaveLength(1);
  });

  it("sends a size that changed before hello", async () => {
    let cols = 80;
    const { terminal, wire } = start({ size: () => ({ cols, rows: 24 }) });
    await settled();
    wire().opens();
    cols = 90;
    terminal.resize({ cols, rows: 24 });
    expect(wire().sent).toHaveLength(1);
    wire().says(hello());
    expect(wire().sent.slice(1).map((data) => [...data])).toEqual([[1, 0, 90, 0, 24]]);
  });

  it("ends the input behind what was typed", async () => {
    const { terminal, wire } = start();
    await settled();
    terminal.type("x".repeat(24));
    terminal.end();
    wire().opens();
    wire().says(hello());
    const opcodes = () => wire().sent.slice(1).map(([opcode]) => opcode);
    expect(opcodes()).toEqual([0, 0, 0]);
    wire().says({ t: "ack", in: 20 });
    expect(opcodes()).toEqual([0, 0, 0, 0, 5]);
    wire().says({ t: "ack", in: 24 });
    expect(opcodes()).toHaveLength(5);
  });

  it("measures both legs", async () => {
    const legs: object[] = [];
    const { wire } = start({ pingEvery: 1000 }, { latency: (latency) => legs.push(latency) });
    await settled();
    wire().opens();
    wire().says(hello());
    expect([...wire().sent[1]!]).toEqual([...codec.ping(1)]);
    wire().says({ t: "pong", t0: 1, gateway_us: 0, ssh_us: 7500 });
    wire().says({ t: "pong", t0: 99, gateway_us: 0, ssh_us: 1 });
    expect(legs).toEqual([{ gateway: 0, instance: 7.5 }]);
    await vi.advanceTimersByTimeAsync(1000);
    expect([...wire().sent[2]!]).toEqual([...codec.ping(2)]);
  });

  it("is silent once it is left", async () => {
    const { terminal, wire, states } = start();
    await settled();
    wire().opens();
    terminal.dispose();
    expect(wire().readyState).toBe(3);
    const before = states.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(states).toHaveLength(before);
  });
});

describe("an ending", () => {
  it("has its consequence", () => {
    expect([1000, 4400, 4403, 4404, 4408, 4410, 4500].map(next)).toEqual(Array(7).fill("stop"));
    expect([1001, 1012].map(next)).toEqual(["at-once", "at-once"]);
    expect([1006, 1011, 4429].map(next)).toEqual(["later", "later", "later"]);
    expect([1, 2, 3, 20].map((attempt) => pause(attempt, () => 1))).toEqual([500, 1000, 2000, 30_000]);
    expect(pause(1, () => 0)).toBe(250);
  });
});
