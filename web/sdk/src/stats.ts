// Where did the bytes come from, and what does the mesh cost? Only media and init segments count as media; each byte of it
// once, by where it came from.
import type { LinkStats } from "./peer-links";
import type { Reason } from "./reasons";

export interface Rescue {
  /** The part, by its number in the run. */
  part: number;
  /** Who should have brought it; 0: nobody was to. */
  by: number;
  /** performance.now() */
  atMs: number;
}

export interface MeshStats {
  /** mesh: the engine plays. plain: HLS from the edge. */
  mode: "mesh" | "plain";
  reason: Reason;
  /** The same for people. */
  why: string;
  /** Media and init bytes that came as plain HLS from the edge, over its WebSocket, and from other viewers. */
  httpBytes: number;
  edgeBytes: number;
  p2pBytes: number;
  /** Media given to other viewers. */
  uploadedBytes: number;
  /** All else on WebSocket and data channels, both ways. */
  controlBytes: number;
  /** Media that came in vain and is not counted above: a second time, wrong, or of a part that was taken over HTTP after
   * all. */
  wastedBytes: number;
  duplicates: number;
  /** Chunks asked of the edge to begin with, and later, because their time was near. */
  firstFill: number;
  rescues: number;
  lastRescues: Rescue[];
  /** Chunks asked of another viewer than the one who should have brought them. */
  pulls: number;
  parentSwitches: number;
  /** Parts that were not whole in time. */
  missed: number;
  cutOff: number;
  /** Open links to other viewers, attempts that came to nothing, and all connections that were made or begun: Chromium
   * allows a tab 500 that are not collected yet. */
  peers: number;
  failedLinks: number;
  connections: number;
  links: LinkStats[];
  /** What this viewer's uplink can give, by its own measure. */
  alphaBps: number;
  holdBackMs: number;
  /** This viewer's number in its cluster; 0: none yet. */
  me: number;
  /** Timers run while the tab is hidden. */
  steady: boolean;
}

/** In the order in which the engine tells them. */
export function readCounts(counts: ArrayLike<number>, wastedHttp: number): Pick<
  MeshStats,
  "edgeBytes" | "p2pBytes" | "uploadedBytes" | "controlBytes" | "wastedBytes" | "duplicates" | "rescues" | "pulls" | "parentSwitches" | "missed" | "cutOff" | "firstFill"
> {
  const at = (index: number) => counts[index] ?? 0;
  return {
    edgeBytes: at(0), p2pBytes: at(1), uploadedBytes: at(2), controlBytes: at(3), wastedBytes: at(4) + wastedHttp, duplicates: at(5),
    rescues: at(6), pulls: at(7), parentSwitches: at(8), missed: at(9), cutOff: at(10), firstFill: at(11),
  };
}

/** What came before a change of place counts on; how things stand is told by the newer. */
export function addStats(before: MeshStats, now: MeshStats): MeshStats {
  const sum = { ...now };
  for (const name of SUMMED) sum[name] += before[name];
  return sum;
}

const SUMMED = [
  "httpBytes", "edgeBytes", "p2pBytes", "uploadedBytes", "controlBytes", "wastedBytes", "duplicates", "rescues", "pulls",
  "parentSwitches", "missed", "cutOff", "firstFill", "failedLinks", "connections",
] as const;
