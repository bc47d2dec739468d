// What a close code means: whether to reconnect, and a sentence for the user.

/** What to do when a socket closed. */
export type Next = "stop" | "at-once" | "later";

/** By the close code (docs/eicterm.md, "Closing"). */
export function next(code: number): Next {
  if (code === 1001 || code === 1012) return "at-once";
  if (code === 1006 || code === 1005 || code === 1011 || code === 4429) return "later";
  return "stop";
}

/** Whether `code` means that access was refused; an ordinary request returns the reason. */
export function isDenial(code: number): boolean {
  return code === 4401 || code === 4403;
}

/** Returns a sentence for the close code. The gateway's own error, if any, is more precise. */
export function sentence(code: number, reason: string): string {
  switch (code) {
    case 1000:
      return "The shell ended.";
    case 1001:
    case 1012:
      return "The gateway is restarting.";
    case 1005:
    case 1006:
      return "The connection to the gateway broke.";
    case 4401:
      return "Your sign-in is over. Sign in again.";
    case 4403:
      return "You may not open this workspace any more.";
    case 4404:
      return "The terminal was ended, or is not there any more.";
    case 4408:
      return "The terminal was idle for too long.";
    case 4409:
      return "The terminal was opened elsewhere.";
    case 4410:
      return "The terminal has been open for as long as one may be.";
    case 4429:
      return "No more terminals may be opened now.";
    default:
      return reason === "" ? `Closed with code ${code}.` : `Closed: ${reason} (${code}).`;
  }
}

/** How long to wait before the `attempt`th try (from 1), in milliseconds: doubling, with a random part. */
export function pause(attempt: number, random: () => number = Math.random): number {
  const longest = Math.min(30_000, 500 * 2 ** Math.max(0, attempt - 1));
  return longest / 2 + (longest / 2) * random();
}
