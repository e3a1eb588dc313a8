// What can a test, or an operator at the console, ask the page? `window.trellis.state()`; see README.md.
import { label } from "./page";
import type { Session } from "./session";
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
  Object.defineProperty(window, "trellis", { value: Object.freeze({ state }) });
}
