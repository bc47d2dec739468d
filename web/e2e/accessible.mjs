// What of a page's accessibility can be measured: names, references, contrast, the size of what is to be hit.

import { must } from "./page.mjs";

/** Looks at everything that is visible now; `where` says which view that is. */
export async function accessible(page, where) {
  const faults = await page.evaluate(inspect);
  must(faults.length === 0, `${where} is not accessible:\n${faults.join("\n")}`);
}

/** The words of the terminal that `scenes.colors` prints, each with its contrast. */
export async function contrasts(page) {
  const spans = await page.locator(".xterm-rows span").evaluateAll((found) =>
    found.map((span) => [span.textContent, getComputedStyle(span).color]),
  );
  const ground = await page.locator(".xterm-viewport").evaluate((found) => getComputedStyle(found).backgroundColor);
  const words = spans.flatMap(([text, color]) => (text.match(/(plain|bright|bold)\d/g) ?? []).map((word) => [word, color]));
  return words.map(([word, color]) => [word, ratio(color, ground)]);
}

/** WCAG 2.2, "contrast ratio", of two colors `rgb(r, g, b)`. */
function ratio(one, other) {
  const luminance = (color) => {
    const [red, green, blue] = color.match(/[\d.]+/g).map((part) => {
      const of = Number(part) / 255;
      return of <= 0.04045 ? of / 12.92 : ((of + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

/** In the page: what is wrong with it. The terminal's own cells are the shell's. */
function inspect() {
  const faults = [];
  const isShown = (of) => of.checkVisibility({ visibilityProperty: true }) && of.closest(".xterm, .hidden") === null;
  const called = (of) => `<${of.tagName.toLowerCase()}${of.id === "" ? "" : ` id=${of.id}`}> ${of.textContent.trim().slice(0, 40)}`;
  const shown = [...document.body.querySelectorAll("*")].filter(isShown);
  // A modal dialog makes the rest inert.
  const modal = document.querySelector("dialog:modal");
  const live = modal === null ? shown : shown.filter((of) => modal.contains(of));

  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) faults.push(`two elements are called ${id}`);
  for (const reference of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
    for (const of of document.querySelectorAll(`[${reference}]`)) {
      const missing = of.getAttribute(reference).split(" ").filter((id) => document.getElementById(id) === null);
      if (missing.length > 0) faults.push(`${called(of)}: ${reference} leads to no ${missing}`);
    }
  }

  let level = 0;
  for (const of of live) {
    const style = getComputedStyle(of);
    if (of.tabIndex > 0) faults.push(`${called(of)} jumps the order of the focus`);
    if (/^H[1-6]$/.test(of.tagName)) {
      if (of.textContent.trim() === "") faults.push(`${called(of)} is an empty heading`);
      if (Number(of.tagName[1]) > level + 1 && modal === null) faults.push(`${called(of)} skips a level`);
      level = Number(of.tagName[1]);
    }
    if (of.matches("button, input, summary, a")) {
      const labels = [...(of.labels ?? [])].map((label) => label.textContent.trim()).join(" ");
      const label = of.getAttribute("aria-label") ?? "";
      const text = of.textContent.trim();
      if (label === "" && text === "" && labels === "") faults.push(`${called(of)} has no name`);
      // Who speaks to the browser says what they see.
      const seen = /^\p{L}{2,}$/u.test(text) ? text.toLowerCase() : "";
      if (label !== "" && !label.toLowerCase().includes(seen)) faults.push(`${called(of)} is called ${label}, and reads ${text}`);
      const { width, height } = of.getBoundingClientRect();
      if (width < 24 || height < 24) faults.push(`${called(of)} is ${width}×${height}: too small to hit`);
    }
    if (of.matches("[aria-label]") && of.matches("span, div, p") && !of.matches("[role]")) {
      faults.push(`${called(of)} has a name that is not read, for want of a role`);
    }
    const hasText = [...of.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "");
    if (hasText && !of.disabled) {
      const ratio = contrast(parse(style.color), ground(of));
      const size = parseFloat(style.fontSize);
      const enough = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
      if (ratio < enough) faults.push(`${called(of)} has a contrast of ${ratio.toFixed(2)}, not ${enough}`);
    }
    if (of.matches("input")) {
      const ratio = contrast(parse(style.borderTopColor), ground(of.parentElement));
      if (ratio < 3) faults.push(`${called(of)} has a border with a contrast of ${ratio.toFixed(2)}, not 3`);
    }
  }
  return faults;

  function parse(color) {
    const [red, green, blue, alpha = 1] = color.match(/[\d.]+/g).map(Number);
    return [red, green, blue, alpha];
  }

  /** What is behind an element's text. */
  function ground(of) {
    for (let at = of; at !== null; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color[3] === 1) return color;
    }
    return [255, 255, 255, 1];
  }

  /** WCAG 2.2, "contrast ratio". */
  function contrast(one, other) {
    const luminance = (color) => {
      const [red, green, blue] = color.slice(0, 3).map((part) => {
        const of = part / 255;
        return of <= 0.04045 ? of / 12.92 : ((of + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  }
}
