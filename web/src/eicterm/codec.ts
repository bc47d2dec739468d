// The messages of `eicterm.v1`, as bytes and as objects (docs/eicterm.md). No DOM, no socket.

/** The subprotocol's name. */
export const SUBPROTOCOL = "eicterm.v1";

/** The prefix of a ticket that is offered as a second subprotocol. */
export const TICKET_PREFIX = "ticket.";

/** A terminal's size in character cells. */
export interface Size {
  cols: number;
  rows: number;
}

/** The client's first message. */
export interface Attach extends Size {
  mode?: "drive" | "watch";
  name?: string;
  session?: string;
  resume?: { token: string; out_off: number | null; in_off: number | null };
}

export interface Limits {
  /** The most bytes of a message behind its opcode. */
  max_frame: number;
  /** How many bytes of output come ahead of the last ack. */
  window: number;
  /** How many bytes of input may be sent ahead of the last ack. */
  in_window: number;
}

/** A message of the gateway. Unknown types are ignored. */
export type Message =
  | {
      t: "hello";
      v: number;
      session: string;
      resume_token: string | null;
      out_off: number;
      in_off: number;
      limits: Limits;
      caps: Record<string, boolean>;
    }
  | { t: "stage"; name: string; ms?: number }
  | { t: "ack"; in: number }
  | { t: "pong"; t0: number; gateway_us: number; ssh_us: number | null }
  | { t: "warn"; what: string; secs: number }
  | { t: "exit"; code?: number; signal?: string }
  | { t: "error"; stage?: string; code: string; message: string; hint?: string; request_id?: string };

const KINDS = new Set(["hello", "stage", "ack", "pong", "warn", "exit", "error"]);

/** Parses a TEXT message; null for one that must be ignored or is invalid. */
export function parse(text: string): Message | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || !("t" in value) || typeof value.t !== "string") return null;
  return KINDS.has(value.t) ? (value as Message) : null;
}

const encoder = new TextEncoder();

/** `attach`, the first message. */
export function attach(wanted: Attach): Uint8Array<ArrayBuffer> {
  return frame(0x10, encoder.encode(JSON.stringify(wanted)));
}

/** Bytes for the terminal. */
export function input(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return frame(0x00, bytes);
}

/** The terminal's new size. */
export function resize({ cols, rows }: Size): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(5);
  const view = new DataView(data.buffer);
  view.setUint8(0, 0x01);
  view.setUint16(1, cols);
  view.setUint16(3, rows);
  return data;
}

/** Output was parsed up to `position`. */
export function ack(position: number): Uint8Array<ArrayBuffer> {
  return number(0x02, position);
}

/** Requests a pong with the same number. */
export function ping(t0: number): Uint8Array<ArrayBuffer> {
  return number(0x03, t0);
}

/** No more input follows. */
export function endOfInput(): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(0x05);
}

/** Encodes typed text. */
export function typed(text: string): Uint8Array {
  return encoder.encode(text);
}

function frame(opcode: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(1 + payload.length);
  data[0] = opcode;
  data.set(payload, 1);
  return data;
}

/** Positions stay below 2^53, where a number is exact. */
function number(opcode: number, value: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(9);
  const view = new DataView(data.buffer);
  view.setUint8(0, opcode);
  view.setUint32(1, Math.floor(value / 2 ** 32));
  view.setUint32(5, value >>> 0);
  return data;
}
