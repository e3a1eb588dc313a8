// Which quality is shown, and which may be chosen? A menu of radio items: Auto and the rungs, best first.
import * as format from "../format";
import type { Rung } from "../player/player";
import type { Session } from "../session";
import { byId, setAttr, setHidden, setLabel, setText } from "./dom";

const button = byId("quality");
const autoText = byId("quality-auto");
const buttonText = byId("quality-text");
const menu = byId("quality-menu");

let drawn = "";

export function setUpQuality(session: Session): void {
  button.addEventListener("click", () => open(menu.hidden));
  menu.addEventListener("click", (event) => {
    const item = (event.target as Element).closest<HTMLElement>("[data-rung]");
    if (!item) return;
    session.player?.choose(item.dataset.rung === "auto" ? null : Number(item.dataset.rung));
    open(false);
    button.focus();
  });
  menu.addEventListener("keydown", onKey);
  document.addEventListener("pointerdown", (event) => {
    if (!menu.hidden && !(event.target as Element).closest(".menu-anchor")) open(false);
  });
}

export const qualityOpen = () => !menu.hidden;

export function drawQuality(session: Session): void {
  const rungs = session.player?.rungs() ?? [];
  const chosen = session.player?.chosen() ?? null;
  const current = session.player?.current() ?? null;
  setHidden(button, rungs.length === 0);
  const name = current ? `${current.height}p` : "";
  const shown = chosen === null ? name || "Auto" : heightOf(rungs, chosen);
  setHidden(autoText, chosen !== null || name === "");
  setText(buttonText, shown);
  setLabel(button, `Quality: ${chosen === null && name ? `automatic, now ${name}` : shown}`);
  const state = JSON.stringify([rungs, chosen, current?.id]);
  if (state === drawn) return; // rebuilding would take the focus away
  drawn = state;
  const auto = item("auto", "Auto", name && `now ${name}`, chosen === null, false);
  menu.replaceChildren(auto, ...rungs.map((r) => item(String(r.id), `${r.height}p`, format.bitrate(r.bitrate), r.id === chosen, r.id === current?.id)));
}

function heightOf(rungs: Rung[], id: number): string {
  const rung = rungs.find((r) => r.id === id);
  return rung ? `${rung.height}p` : "";
}

function item(id: string, name: string, note: string, checked: boolean, playing: boolean): HTMLElement {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "item";
  element.dataset.rung = id;
  element.tabIndex = -1;
  setAttr(element, "role", "menuitemradio");
  setAttr(element, "aria-checked", String(checked));
  element.classList.toggle("playing", playing);
  const [left, right] = [document.createElement("span"), document.createElement("span")];
  left.textContent = name;
  right.textContent = note;
  right.className = "note";
  element.append(left, right);
  return element;
}

function open(yes: boolean): void {
  setHidden(menu, !yes);
  setAttr(button, "aria-expanded", String(yes));
  if (yes) (menu.querySelector<HTMLElement>("[aria-checked=true]") ?? menu.querySelector<HTMLElement>(".item"))?.focus();
}

function onKey(event: KeyboardEvent): void {
  const items = [...menu.querySelectorAll<HTMLElement>(".item")];
  const here = items.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to !== undefined) items[(to + items.length) % items.length]?.focus();
  else if (event.key === "Escape" || event.key === "Tab") {
    open(false);
    button.focus();
  } else return;
  event.preventDefault();
  event.stopPropagation();
}
