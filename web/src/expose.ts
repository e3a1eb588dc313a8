// What can a test, or an operator at the console, ask the page? `window.trellis.state()` and `.stats()`; see README.md.
import { label } from "./page";
import type { Session } from "./session";
import { sentence } from "../sdk/src/reasons";
import { errorOf } from "./stats";

export function expose(session: Session): void {
  const state = () => {
    const { page, video, startupMs } = session;
    const stats = session.stats();
    const where = session.timeline();
    return {
      state: label(page),
      stream: session.stream,
      publisher: page.publisher,
      error: errorOf(page),
      kind: where.kind,
      latency_s: stats.latencyS,
      buffer_s: stats.bufferS,
      behind_s: where.behind,
      position_s: video.currentTime,
      range_s: [where.start, where.end],
      rung: stats.rung,
      rungs: session.player?.rungs() ?? [],
      chosen_rung: session.player?.chosen() ?? null,
      bandwidth_bps: stats.bandwidthBps,
      bytes: stats.bytes,
      stalls: stats.stalls,
      dropped_frames: stats.droppedFrames,
      total_frames: stats.totalFrames,
      startup_ms: startupMs,
      retry_in_s: session.wakeAtMs === null ? null : Math.max(0, session.wakeAtMs - performance.now()) / 1000,
      muted: video.muted,
    };
  };
  const stats = () => {
    const { mesh, ...played } = session.stats();
    const plain = { mode: "plain", reason: "no_link_offered", why: sentence("no_link_offered"), httpBytes: played.bytes };
    return {
      ...NOTHING,
      ...(mesh ?? plain),
      startupMs: session.startupMs,
      stalls: played.stalls,
      stallMs: session.screen.stalledMs,
      latencyMs: played.latencyS === null ? null : Math.round(played.latencyS * 1000),
    };
  };
  /** In base64. */
  const tape = () => btoa(Array.from(session.player?.tape() ?? [], (byte) => String.fromCharCode(byte)).join(""));
  Object.defineProperty(window, "trellis", { value: Object.freeze({ state, stats, tape }) });
}

/** What a player without a mesh has to tell of it. */
const NOTHING = {
  httpBytes: 0, edgeBytes: 0, p2pBytes: 0, uploadedBytes: 0, controlBytes: 0, wastedBytes: 0, duplicates: 0, firstFill: 0, rescues: 0,
  lastRescues: [], pulls: 0, parentSwitches: 0, missed: 0, cutOff: 0, peers: 0, failedLinks: 0, connections: 0, links: [],
  alphaBps: 0, holdBackMs: 0, me: 0, steady: false,
};
