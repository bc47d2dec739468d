// Keys that phone keyboards lack.

const KEYS: readonly (readonly [label: string, name: string, sequence: string])[] = [
  ["Esc", "Escape", "\x1b"],
  ["Tab", "Tab", "\t"],
  ["^C", "Control C", "\x03"],
  ["^D", "Control D", "\x04"],
  ["^Z", "Control Z", "\x1a"],
  ["←", "Left", "\x1b[D"],
  ["↓", "Down", "\x1b[B"],
  ["↑", "Up", "\x1b[A"],
  ["→", "Right", "\x1b[C"],
  ["|", "Pipe", "|"],
  ["/", "Slash", "/"],
  ["~", "Tilde", "~"],
];

/** Fills `place` with the keys. Each sends its sequence and leaves the phone's keyboard open. */
export function fill(place: HTMLElement, send: (sequence: string) => void): void {
  place.replaceChildren(
    ...KEYS.map(([label, name, sequence]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", name);
      // Keeps the focus, and with it the phone's keyboard. The key itself is a click: swiping presses none, and screen readers
      // and keyboards produce clicks only.
      button.addEventListener("mousedown", (event) => event.preventDefault());
      button.addEventListener("click", () => send(sequence));
      return button;
    }),
  );
}
