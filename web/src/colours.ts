// The colours of terminal and page.

import type { ITheme } from "@xterm/xterm";

import type { Colours } from "./settings";

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
};

const system = matchMedia("(prefers-color-scheme: light)");

/** Colours the page as chosen, and gives the terminal's theme. */
export function apply(choice: Colours): ITheme {
  const light = choice === "auto" ? system.matches : choice === "light";
  document.documentElement.dataset.colours = light ? "light" : "dark";
  return light ? LIGHT : DARK;
}

/** Calls `changed` when the system's own colours do. */
export function onSystemChange(changed: () => void): void {
  system.addEventListener("change", changed);
}
