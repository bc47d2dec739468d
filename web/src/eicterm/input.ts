// What was typed, on its way: cut to frames, held back at the gateway's window.

import type { Limits } from "./codec.js";

/** How much may wait, in bytes. A paste beyond that is refused as a whole, so that no half of it is run. */
export const MAX_WAITING = 64 << 20;

/** The input that has not been sent. */
export class InputQueue {
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private sent = 0;
  private acked = 0;
  private limits: Limits | null = null;

  /** Adds `bytes`; whether there was room. */
  add(bytes: Uint8Array): boolean {
    if (bytes.length === 0) return true;
    if (this.waitingBytes + bytes.length > MAX_WAITING) return false;
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    return true;
  }

  /** The gateway said what it takes, and where its count begins. */
  begin(limits: Limits, position: number): void {
    this.limits = limits;
    this.sent = position;
    this.acked = position;
  }

  /** The terminal took everything up to `position`. */
  ack(position: number): void {
    this.acked = Math.max(this.acked, Math.min(position, this.sent));
  }

  /** The next piece that may be sent now, or null. */
  next(): Uint8Array | null {
    const first = this.waiting[0];
    if (this.limits === null || first === undefined) return null;
    const room = Math.min(this.limits.max_frame, this.limits.in_window - (this.sent - this.acked));
    if (room <= 0) return null;
    const piece = first.subarray(0, room);
    if (piece.length === first.length) this.waiting.shift();
    else this.waiting[0] = first.subarray(piece.length);
    this.waitingBytes -= piece.length;
    this.sent += piece.length;
    return piece;
  }

  /** Whether the gateway was sent all of it. */
  get isSent(): boolean {
    return this.limits !== null && this.waiting.length === 0;
  }

  /** Forgets what waits: what was typed for one shell is not for another. */
  clear(): void {
    this.waiting = [];
    this.waitingBytes = 0;
    this.limits = null;
  }
}
