// The colors of the terminal and the page.

import type { ITheme } from "@xterm/xterm";

import type { Colors } from "./settings";

/** What text must have at least against its background (WCAG 2.2, 1.4.3); xterm.js adjusts colors that have less. */
export const MIN_CONTRAST = 4.5;

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
  brightBlack: "#8b949e",
  brightRed: "#ffa198",
  brightGreen: "#56d364",
  brightYellow: "#e3b341",
  brightBlue: "#79c0ff",
  brightMagenta: "#d2a8ff",
  brightCyan: "#56d4dd",
  brightWhite: "#ffffff",
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
  brightBlack: "#57606a",
  brightRed: "#a40e26",
  brightGreen: "#1a7f37",
  brightYellow: "#633c01",
  brightBlue: "#0969da",
  brightMagenta: "#8250df",
  brightCyan: "#0f6a75",
  brightWhite: "#4b535d",
};

const system = matchMedia("(prefers-color-scheme: light)");

/** Applies the chosen colors to the page and returns the terminal's theme. */
export function apply(choice: Colors): ITheme {
  const light = choice === "auto" ? system.matches : choice === "light";
  document.documentElement.dataset.colors = light ? "light" : "dark";
  return light ? LIGHT : DARK;
}

/** Calls `changed` when the system's color scheme changes. */
export function onSystemChange(changed: () => void): void {
  system.addEventListener("change", changed);
}
