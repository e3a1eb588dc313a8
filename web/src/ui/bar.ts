// What do the buttons of the bar do, and what do they show?
import * as format from "../format";
import { label, type Page } from "../page";
import type { Session } from "../session";
import type { Stats } from "../stats";
import { isLive, type Timeline } from "../timeline";
import { byId, setAttr, setHidden, setIcon, setLabel, setText } from "./dom";
import { canFull, canPip, isFull, toggleFull, togglePip } from "./window";

const play = byId("play");
const mute = byId("mute");
const volume = byId<HTMLInputElement>("volume");
const live = byId("live");
const liveText = byId("live-text");
const time = byId("time");
const readout = byId("readout-text");
const pip = byId("pip");
const full = byId("full");

export function setUpBar(session: Session): void {
  const { video } = session;
  play.addEventListener("click", () => session.togglePlay());
  mute.addEventListener("click", () => toggleMute(video));
  volume.addEventListener("input", () => setVolume(video, Number(volume.value)));
  live.addEventListener("click", () => session.goLive());
  pip.addEventListener("click", () => void togglePip(video));
  full.addEventListener("click", () => void toggleFull(video));
  setHidden(full, !canFull(video));
}

export function drawBar(session: Session, where: Timeline, stats: Stats): void {
  const { video, page } = session;
  const over = label(page) === "ended";
  setIcon(play, over ? "again" : video.paused ? "play" : "pause");
  setLabel(play, over ? "Watch again" : video.paused ? "Play" : "Pause");
  play.toggleAttribute("disabled", where.kind === "none");
  const silent = video.muted || video.volume === 0;
  setIcon(mute, silent ? "mute" : "sound");
  setLabel(mute, silent ? "Sound on" : "Sound off");
  const shown = String(video.muted ? 0 : video.volume);
  if (volume.value !== shown) volume.value = shown;
  volume.style.setProperty("--played", `${Number(shown) * 100}%`);
  drawLive(where, page);
  setHidden(pip, !canPip(video) || !page.picture);
  setHidden(time, where.kind !== "vod");
  setText(time, `${format.time(where.at - where.start)} / ${format.time(where.end - where.start)}`);
  const flowing = ["playing", "buffering"].includes(label(page));
  setText(readout, where.kind === "live" && flowing ? format.seconds(stats.latencyS) : "");
  setIcon(full, isFull() ? "small" : "full");
  setLabel(full, isFull() ? "Leave full screen" : "Full screen");
}

function drawLive(where: Timeline, page: Page): void {
  const now = isLive(where);
  const off = now && label(page) === "paused";
  const unknown = ["ended", "lost", "refused", "waiting", "denied", "failed"].includes(label(page));
  setHidden(live, where.kind !== "live" || unknown);
  setAttr(live, "data-live", String(now && !off));
  setText(liveText, off ? "Off air" : now ? "Live" : `Go live · −${format.time(where.behind)}`);
  setAttr(live, "aria-label", off ? "Off air" : now ? "Live" : `Go to live, ${format.spokenTime(where.behind)} behind`);
}

export function toggleMute(video: HTMLVideoElement): void {
  if (video.muted || video.volume === 0) {
    video.muted = false;
    if (video.volume === 0) video.volume = 0.5;
  } else video.muted = true;
}

export function setVolume(video: HTMLVideoElement, value: number): void {
  video.volume = Math.min(1, Math.max(0, value));
  video.muted = video.volume === 0;
}
