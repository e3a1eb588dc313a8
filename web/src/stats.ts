// Which numbers describe the playing? Read-only: looks at the video element and the player, changes nothing.
import { label, type Page } from "./page";
import type { MeshStats } from "../sdk/src/index";
import type { Player, Rung } from "./player/player";
import type { Screen } from "./player/screen";

export interface Stats {
  /** The server's now − the programme date at the playhead, s. null in recordings. */
  latencyS: number | null;
  bufferS: number;
  rung: Rung | null;
  stalls: number;
  droppedFrames: number;
  totalFrames: number;
  bandwidthBps: number | null;
  bytes: number;
  playbackRate: number;
  /** Where the bytes came from; null when the player does not know. */
  mesh: MeshStats | null;
}

export function readStats(
  video: HTMLVideoElement,
  player: Player | null,
  screen: Screen,
  serverNowMs: number | null,
  bufferS: number,
): Stats {
  const quality = video.getVideoPlaybackQuality?.();
  const dateMs = player?.live() ? player.dateMs() : null;
  return {
    latencyS: serverNowMs === null || dateMs === null ? null : (serverNowMs - dateMs) / 1000,
    bufferS,
    rung: player?.current() ?? null,
    stalls: screen.stalls,
    droppedFrames: quality?.droppedVideoFrames ?? 0,
    totalFrames: quality?.totalVideoFrames ?? 0,
    bandwidthBps: player?.bandwidth() ?? null,
    bytes: player?.bytes() ?? 0,
    playbackRate: video.playbackRate,
    mesh: player?.mesh() ?? null,
  };
}

/** The machine-readable reason for the present state, or null when all is well. */
export function errorOf(page: Page): string | null {
  const { stage } = page;
  if (stage.at === "waiting") return stage.known ? "not_live" : "no_such_stream";
  if (label(page) === "blocked") return "autoplay_blocked";
  return "error" in stage ? stage.error : null;
}
