// Keys that a phone's keyboard lacks.

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

/** Fills `place` with the keys; each sends its sequence and leaves the keyboard open. */
export function fill(place: HTMLElement, send: (sequence: string) => void): void {
  place.replaceChildren(
    ...KEYS.map(([label, name, sequence]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", name);
      // Or it would take the focus, and the phone's keyboard with it. A click all the same: whoever swipes to the keys further
      // on presses none, and a screen reader or a keyboard makes clicks only.
      button.addEventListener("mousedown", (event) => event.preventDefault());
      button.addEventListener("click", () => send(sequence));
      return button;
    }),
  );
}
