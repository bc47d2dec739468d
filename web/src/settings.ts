// What is kept in this browser: the font size and the colors that a person chose, and that they were signed in.

export type Colors = "auto" | "light" | "dark";

const FONT = "eice.font-size";
const COLORS = "eice.colors";
const SIGNED_IN = "eice.signed-in";

/** Font sizes in CSS pixels. */
export const FONT_SIZES = [10, 11, 12, 13, 14, 15, 16, 18, 20, 24, 28] as const;
const DEFAULT_FONT = 14;

/** The stored text, where storage may be used at all. */
function load(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function save(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is off: the choice holds for this visit.
  }
}

export function fontSize(): number {
  const stored = Number(load(FONT));
  return FONT_SIZES.some((size) => size === stored) ? stored : DEFAULT_FONT;
}

/** The next size up or down from `size`, remembered. */
export function changeFontSize(size: number, by: 1 | -1): number {
  const at = FONT_SIZES.findIndex((known) => known === size);
  const next = FONT_SIZES[Math.min(FONT_SIZES.length - 1, Math.max(0, at + by))] ?? DEFAULT_FONT;
  save(FONT, String(next));
  return next;
}

export function colors(): Colors {
  const stored = load(COLORS);
  return stored === "light" || stored === "dark" ? stored : "auto";
}

/** What comes after `now`, remembered. */
export function nextColors(now: Colors): Colors {
  const next = now === "auto" ? "light" : now === "light" ? "dark" : "auto";
  save(COLORS, next);
  return next;
}

/** Whether this browser was signed in and did not sign out: no script sees the cookie, nor that it ran out. */
export function wasSignedIn(): boolean {
  return load(SIGNED_IN) === "yes";
}

export function rememberSignedIn(signedIn: boolean): void {
  save(SIGNED_IN, signedIn ? "yes" : "no");
}
