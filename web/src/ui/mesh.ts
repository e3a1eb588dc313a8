// Who gives to whom right now? A small picture of this viewer, the edge and the neighbors, with bytes seen flowing, and the
// numbers behind it. Drawn only while the panel is open.
import type { MeshStats } from "../../sdk/src/index";
import { readP2p } from "../../sdk/src/policy";
import * as format from "../format";
import type { Session } from "../session";
import { byId, setAttr, setHidden, setText } from "./dom";

const box = byId("mesh");
const map = byId<SVGSVGElement>("mesh-map");
const why = byId("mesh-why");
const list = byId("mesh-numbers");

const [WIDTH, HEIGHT] = [240, 150];
const ME = { x: WIDTH / 2, y: HEIGHT / 2 };
/** Neighbors in the picture; there may be more. */
const SHOWN = 8;
/** A flow is what moved since this long ago. */
const WINDOW_MS = 1_000;
const EDGE = 0;

interface Flow {
  inBps: number;
  outBps: number;
}

interface Sample {
  atMs: number;
  taken: Map<number, number>;
  given: Map<number, number>;
}

let samples: Sample[] = [];
/** Numbers of one cluster have much in common. */
const short = (peer: number) => `#${peer % 1_000}`;
const cells = new Map<string, Element>();

export function setUpMesh(session: Session): void {
  const choice = byId<HTMLSelectElement>("mesh-wish");
  choice.value = session.wish ?? "";
  choice.addEventListener("change", () => session.setWish(readP2p(choice.value)));
}

export function drawMesh(stats: MeshStats | null): void {
  setHidden(box, stats === null);
  if (!stats || byId("panel").hidden) return;
  drawMap(stats, flows(stats));
  setText(why, stats.why);
  const all = stats.httpBytes + stats.edgeBytes + stats.p2pBytes;
  row("From viewers", `${format.bytes(stats.p2pBytes)}${all > 0 ? ` · ${Math.round((100 * stats.p2pBytes) / all)} %` : ""}`);
  row("From the edge", `${format.bytes(stats.edgeBytes + stats.httpBytes)}`);
  row("Given", format.bytes(stats.uploadedBytes));
  row("Control", format.bytes(stats.controlBytes));
  row("Viewers linked", String(stats.peers));
  row("Uplink α", stats.alphaBps > 0 ? format.bitrate(stats.alphaBps) : "–");
  row("Held back", `${(stats.holdBackMs / 1000).toFixed(1)} s`);
  row("Rescues", rescues(stats));
}

/** How many, and why the last: who should have brought it. */
function rescues({ rescues: count, lastRescues }: MeshStats): string {
  const last = lastRescues[lastRescues.length - 1];
  if (!last) return String(count);
  const who = last.by === EDGE ? "nobody had it" : `viewer ${short(last.by)} was late`;
  return `${count} · last ${Math.round((performance.now() - last.atMs) / 1000)} s ago: ${who}`;
}

function flows(stats: MeshStats): Map<number, Flow> {
  const now = performance.now();
  const fresh: Sample = { atMs: now, taken: new Map(), given: new Map() };
  fresh.taken.set(EDGE, stats.edgeBytes + stats.httpBytes);
  for (const { peer, takenBytes, givenBytes } of stats.links) {
    fresh.taken.set(peer, takenBytes);
    fresh.given.set(peer, givenBytes);
  }
  samples = [...samples.filter((sample) => now - sample.atMs < 2 * WINDOW_MS), fresh];
  const then = samples.find((sample) => now - sample.atMs <= WINDOW_MS) ?? fresh;
  const seconds = Math.max(now - then.atMs, 1) / 1000;
  const rate = (after: Map<number, number>, before: Map<number, number>, peer: number) =>
    Math.max(0, (after.get(peer) ?? 0) - (before.get(peer) ?? after.get(peer) ?? 0)) / seconds;
  const of = (peer: number): Flow => ({ inBps: 8 * rate(fresh.taken, then.taken, peer), outBps: 8 * rate(fresh.given, then.given, peer) });
  return new Map([...fresh.taken.keys()].map((peer) => [peer, of(peer)]));
}

function drawMap(stats: MeshStats, flow: Map<number, Flow>): void {
  const peers = stats.links.slice(0, SHOWN).map((link) => link.peer);
  const wanted = new Set([EDGE, ...peers].map(String));
  for (const group of [...map.querySelectorAll("g[data-peer]")]) {
    if (!wanted.has(group.getAttribute("data-peer") ?? "")) group.remove();
  }
  place(EDGE, { x: ME.x, y: 16 }, "edge", flow.get(EDGE));
  peers.forEach((peer, at) => place(peer, spot(at, peers.length), short(peer), flow.get(peer)));
  const me = map.querySelector("g[data-me]") ?? map.appendChild(group("me"));
  setAttr(me, "data-me", "");
  dot(me, ME, 11, stats.me > 0 ? `you · ${short(stats.me)}` : "you");
}

/** Around this viewer, the top being the edge's. */
function spot(at: number, count: number): { x: number; y: number } {
  const angle = Math.PI * (-0.15 + (1.3 * (at + 0.5)) / Math.max(count, 1));
  return { x: ME.x + 88 * Math.cos(angle), y: ME.y + 54 * Math.sin(angle) };
}

function place(peer: number, to: { x: number; y: number }, name: string, flow: Flow | undefined): void {
  let one = map.querySelector(`g[data-peer="${peer}"]`);
  if (!one) {
    one = map.insertBefore(group(peer === EDGE ? "edge" : "peer"), map.firstChild);
    setAttr(one, "data-peer", String(peer));
    for (const way of ["in", "out"]) one.appendChild(make("line", { class: `flow ${way}` }));
  }
  line(one, "in", to, flow?.inBps ?? 0, 2);
  line(one, "out", to, flow?.outBps ?? 0, -2);
  dot(one, to, 8, name);
}

function line(one: Element, way: string, to: { x: number; y: number }, bps: number, aside: number): void {
  const it = one.querySelector(`.${way}`);
  if (!it) return;
  // Side by side: across the line's own direction.
  const length = Math.hypot(to.x - ME.x, to.y - ME.y) || 1;
  const [dx, dy] = [(-(to.y - ME.y) / length) * aside, ((to.x - ME.x) / length) * aside];
  for (const [name, value] of Object.entries({ x1: to.x + dx, y1: to.y + dy, x2: ME.x + dx, y2: ME.y + dy })) setAttr(it, name, value.toFixed(1));
  setAttr(it, "data-flows", String(bps > 2_000));
  // 10 kbit/s is a hair, a Mbit/s a cord.
  setAttr(it, "stroke-width", bps > 2_000 ? Math.min(5, Math.max(1, Math.log10(bps / 3_000) * 1.6)).toFixed(1) : "0.6");
}

function dot(one: Element, at: { x: number; y: number }, radius: number, name: string): void {
  const circle = one.querySelector("circle") ?? one.appendChild(make("circle", {}));
  const text = one.querySelector("text") ?? one.appendChild(make("text", {}));
  for (const [key, value] of Object.entries({ cx: at.x, cy: at.y, r: radius })) setAttr(circle, key, value.toFixed(1));
  setAttr(text, "x", at.x.toFixed(1));
  setAttr(text, "y", (at.y + radius + 9).toFixed(1));
  setText(text, name);
}

const group = (kind: string) => make("g", { class: kind });

function make(tag: string, attributes: Record<string, string>): Element {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function row(name: string, value: string): void {
  let cell = cells.get(name);
  if (!cell) {
    const [whole, dt, dd] = [document.createElement("div"), document.createElement("dt"), document.createElement("dd")];
    dt.textContent = name;
    whole.append(dt, dd);
    list.append(whole);
    cells.set(name, (cell = dd));
  }
  setText(cell, value);
}
