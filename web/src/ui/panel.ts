// What do the playback numbers say? A panel that is drawn only while it is open, with the last minute as two lines.
import * as format from "../format";
import type { Stats } from "../stats";
import { byId, setAttr, setHidden, setText } from "./dom";

const panel = byId("panel");
const button = byId("stats");
const list = byId("numbers");
const spark = byId<SVGSVGElement>("spark");

const KEPT = 60;
const HEIGHT = 36;
const WIDTH = 120;
const history: { latency: number | null; buffer: number }[] = [];
const cells = new Map<string, Element>();

export function setUpPanel(): void {
  button.addEventListener("click", togglePanel);
  byId("panel-close").addEventListener("click", togglePanel);
}

export function togglePanel(): void {
  const show = panel.hidden;
  setHidden(panel, !show);
  setAttr(button, "aria-expanded", String(show));
}

export const panelOpen = () => !panel.hidden;

/** Once a second, open or not, so that the last minute is there when it is opened. */
export function remember(stats: Stats): void {
  history.push({ latency: stats.latencyS, buffer: stats.bufferS });
  if (history.length > KEPT) history.shift();
}

export function drawPanel(stats: Stats, live: boolean, startupMs: number | null): void {
  if (panel.hidden) return;
  const { rung } = stats;
  row("Latency", live ? format.seconds(stats.latencyS) : "recording");
  row("Buffer", format.seconds(stats.bufferS));
  row("Quality", rung ? `${rung.height}p${rung.bitrate ? ` · ${format.bitrate(rung.bitrate)}` : ""}` : "–");
  row("Bandwidth", format.bitrate(stats.bandwidthBps));
  row("Received", format.bytes(stats.bytes));
  row("Stalls", String(stats.stalls));
  row("Dropped frames", `${stats.droppedFrames} of ${stats.totalFrames}`);
  row("Start-up", startupMs === null ? "–" : `${Math.round(startupMs)} ms`);
  row("Speed", `${stats.playbackRate.toFixed(2)}×`);
  drawSpark();
}

function row(name: string, value: string): void {
  let cell = cells.get(name);
  if (!cell) {
    const [line, dt, dd] = [document.createElement("div"), document.createElement("dt"), document.createElement("dd")];
    dt.textContent = name;
    line.append(dt, dd);
    list.append(line);
    cells.set(name, (cell = dd));
  }
  setText(cell, value);
}

function drawSpark(): void {
  const top = Math.max(2, ...history.map((h) => Math.max(h.latency ?? 0, h.buffer)));
  const points = (pick: (h: (typeof history)[number]) => number | null) =>
    history
      .map((h, i) => ({ x: WIDTH - ((history.length - 1 - i) * WIDTH) / (KEPT - 1), y: pick(h) }))
      .filter((p) => p.y !== null)
      .map((p) => `${p.x.toFixed(1)},${(HEIGHT - 2 - ((HEIGHT - 4) * (p.y ?? 0)) / top).toFixed(1)}`)
      .join(" ");
  setAttr(spark.querySelector(".spark-latency")!, "points", points((h) => h.latency));
  setAttr(spark.querySelector(".spark-buffer")!, "points", points((h) => h.buffer));
}
