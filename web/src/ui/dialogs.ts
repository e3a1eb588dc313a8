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
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // the backdrop
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

/** The clipboard API wants a secure context, which a phone on a LAN address has not; selecting and copying works there. */
function copyText(area: HTMLTextAreaElement): boolean {
  area.focus();
  area.select();
  return document.execCommand("copy");
}
