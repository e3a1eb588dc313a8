// How does the seek bar work? A native range input (keyboard and screen readers for free), painted through two custom
// properties. While the thumb is held the bar follows the hand; the seek happens once it is let go.
import * as format from "../format";
import type { Session } from "../session";
import type { Timeline } from "../timeline";
import { byId, setAttr, setHidden, setText } from "./dom";

const row = byId("seek-row");
const slider = byId<HTMLInputElement>("seek");
const tip = byId("seek-tip");

const KEY_STEP_S = 5;
let held = false;
let shown: Timeline | null = null;

export function setUpSeek(session: Session): void {
  slider.addEventListener("input", () => {
    held = true;
    if (shown) paint(shown, Number(slider.value));
  });
  slider.addEventListener("change", () => {
    held = false;
    session.seek(Number(slider.value));
  });
  slider.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -KEY_STEP_S, ArrowRight: KEY_STEP_S, PageDown: -60, PageUp: 60 }[event.key];
    if (by === undefined) return;
    event.preventDefault(); // step="any" would move by a hundredth of the bar
    event.stopPropagation();
    session.seek(session.video.currentTime + by);
  });
  row.addEventListener("pointermove", (event) => showTip(event.clientX));
  row.addEventListener("pointerleave", () => setHidden(tip, true));
}

export function drawSeek(where: Timeline): void {
  shown = where;
  setHidden(row, !where.seekable);
  if (!where.seekable) return;
  setAttr(slider, "min", String(where.start));
  setAttr(slider, "max", String(where.end));
  if (!held) slider.value = String(where.at);
  paint(where, Number(slider.value));
}

function paint(where: Timeline, at: number): void {
  const percent = (s: number) => `${(100 * (s - where.start)) / (where.end - where.start || 1)}%`;
  slider.style.setProperty("--played", percent(at));
  slider.style.setProperty("--buffered", percent(Math.max(at, where.bufferedTo)));
  setAttr(slider, "aria-valuetext", spoken(where, at));
}

function showTip(clientX: number): void {
  const box = slider.getBoundingClientRect();
  if (!shown || box.width === 0) return;
  const share = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
  setText(tip, written(shown, shown.start + share * (shown.end - shown.start)));
  tip.style.setProperty("--at", `${share * 100}%`);
  setHidden(tip, false);
}

function written(where: Timeline, at: number): string {
  if (where.kind === "vod") return format.time(at - where.start);
  return where.end - at < 1 ? "Live" : `−${format.time(where.end - at)}`;
}

function spoken(where: Timeline, at: number): string {
  if (where.kind === "vod") return `${format.spokenTime(at - where.start)} of ${format.spokenTime(where.end - where.start)}`;
  return where.end - at < 1 ? "Live" : `${format.spokenTime(where.end - at)} behind live`;
}
