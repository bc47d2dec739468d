// Questions in a modal dialog.

/** Shows `dialog` until it is answered; resolves to whether the answer was `value`. Escape and leaving it are not. */
export async function confirm(dialog: HTMLDialogElement, value: string): Promise<boolean> {
  // The answer of the last time would remain where Escape gives none.
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  return dialog.returnValue === value;
}
