// What a person sees and does on the page.

export const TIMEOUT = 20_000;

export function must(holds, complaint) {
  if (!holds) throw new Error(complaint);
}

/** Waits until the status line says `text`. */
export async function status(page, text) {
  await page.locator("#status", { hasText: text }).waitFor({ timeout: TIMEOUT }).catch(async () => {
    throw new Error(`the status is ${JSON.stringify(await page.locator("#status").innerText())}, not ${text}`);
  });
}

/** Types `command` and Enter. */
export async function type(page, command) {
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type(`${command}\n`);
}

/** The terminal's rows, once one of them matches. */
export async function row(page, pattern) {
  const rows = page.locator(".xterm-rows > div");
  await rows.filter({ hasText: pattern }).first().waitFor({ timeout: TIMEOUT }).catch(async () => {
    throw new Error(`no row is like ${pattern}:\n${(await rows.allInnerTexts()).join("\n")}`);
  });
  return (await rows.allInnerTexts()).map((text) => text.replace(/\u00a0/g, " ").trim());
}

/** Types `command` and answers with the line that it printed last. */
export async function run(page, command) {
  const mark = `end-${Math.random().toString(36).slice(2, 8)}`;
  // The mark is put together by the shell, so that its echo is not taken for its output.
  await type(page, `${command}; echo ${mark.slice(0, 5)}''${mark.slice(5)}`);
  const rows = await row(page, new RegExp(`^${mark}$`));
  return rows[rows.findIndex((text) => text === mark) - 1];
}

/** Returns the size that the page shows, `COLSxROWS`. */
export async function size(page) {
  return (await page.locator("#size").textContent()).replace("×", "x");
}
