// What do "Embed" and "Keyboard" open? Two native dialogs.
import { byId, setText } from "./dom";

const embed = byId<HTMLDialogElement>("embed-dialog");
const help = byId<HTMLDialogElement>("help-dialog");
const code = byId<HTMLTextAreaElement>("embed-code");
const copy = byId("embed-copy");

export function setUpDialogs(stream: string): void {
  byId("embed").addEventListener("click", () => {
    code.value = embedLine(location.origin, stream);
    setText(copy, "Copy");
    embed.showModal();
  });
  byId("help").addEventListener("click", toggleHelp);
  copy.addEventListener("click", () => setText(copy, copyText(code) ? "Copied" : "Press Ctrl+C"));
  for (const dialog of [embed, help]) {
    dialog.addEventListener("click", (event) => {
      if (onBackdrop(dialog, event) || (event.target as Element).closest("[data-close]")) dialog.close();
    });
  }
}

export function toggleHelp(): void {
  if (help.open) help.close();
  else help.showModal();
}

export const dialogOpen = () => embed.open || help.open;

export function embedLine(origin: string, stream: string): string {
  const src = `${origin}/watch/${stream}?embed=1`;
  return `<iframe src="${src}" title="${stream}" width="960" height="540" style="border:0" allow="autoplay; fullscreen; picture-in-picture" allowfullscreen></iframe>`;
}

/** The backdrop belongs to the dialog, only outside its box. A key press "clicks" at 0,0 and means its button. */
function onBackdrop(dialog: HTMLDialogElement, { target, clientX: x, clientY: y }: MouseEvent): boolean {
  const box = dialog.getBoundingClientRect();
  return target === dialog && (x < box.left || x > box.right || y < box.top || y > box.bottom);
}

/** The clipboard API wants a secure context, which a phone on a LAN address has not; selecting and copying works there. */
function copyText(area: HTMLTextAreaElement): boolean {
  area.focus();
  area.select();
  return document.execCommand("copy");
}
