// Where is the playhead, and what does the seek bar show of it? Pure: positions in, a Timeline out.
import type { Label } from "./page";

export interface Positions {
  live: boolean | null;
  range: { start: number; end: number } | null;
  at: number;
  bufferedTo: number;
  liveSync: number | null;
}

export interface Timeline {
  kind: "none" | "live" | "vod";
  start: number;
  end: number;
  at: number;
  bufferedTo: number;
  /** Seconds behind where a live viewer should be; 0 at the live edge and in recordings. */
  behind: number;
  /** There is enough behind us to be worth a seek bar. */
  seekable: boolean;
}

/** Within this distance of the live position a viewer counts as live. */
export const LIVE_SLACK_S = 3;
/** Further behind than this, somebody who wanted to be live is taken back there. */
const JUMP_S = 3;
const SEEKABLE_S_MIN = 10;

export function timeline(p: Positions): Timeline {
  if (p.live === null || !p.range) {
    return { kind: "none", start: 0, end: 0, at: 0, bufferedTo: 0, behind: 0, seekable: false };
  }
  const kind = p.live ? "live" : "vod";
  const start = p.range.start;
  // The end of a live bar is where "live" plays, so that being live is a full bar.
  const end = Math.max(start, p.live ? (p.liveSync ?? p.range.end) : p.range.end);
  const behind = p.live && p.liveSync !== null ? Math.max(0, p.liveSync - p.at) : 0;
  // Being live shows as a full bar, not as a thumb that trembles near its end.
  const at = p.live && behind < LIVE_SLACK_S ? end : Math.min(Math.max(p.at, start), end);
  return { kind, start, end, at, bufferedTo: Math.min(Math.max(p.bufferedTo, at), end), behind, seekable: end - start >= SEEKABLE_S_MIN };
}

export const isLive = (t: Timeline) => t.kind === "live" && t.behind < LIVE_SLACK_S;

/** A stall has carried a viewer who wants to be live away from it: go back in one step. */
export function shouldJump(t: Timeline, following: boolean, label: Label): boolean {
  return following && t.kind === "live" && label === "playing" && t.behind > JUMP_S;
}
