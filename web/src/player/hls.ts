// How does hls.js play our streams? This file holds every setting of it and translates its errors into three words:
// `gone` (the edge says no), `silent` (it says nothing), `broken` (what it says cannot be played).
//
// Content-Security-Policy: hls.js attaches a MediaSource through a blob: URL, so `media-src 'self' blob:` is needed.
// Its worker only serves MPEG-TS, our media is fMP4, so it stays off.
import Hls, { ErrorTypes, Events, type ErrorData, type HlsConfig } from "hls.js";
import { AudioController, MainController } from "./controllers";
import { addStats, follow, hlsConfig, Mesh, type MeshStats, type P2p } from "../../sdk/src/index";
import type { Admission } from "../page";
import { firstGuess, readHints } from "./guess";
import type { From, Player, PlayerEvent, Rung, Wishes } from "./player";

const SETTINGS: Partial<HlsConfig> = {
  enableWorker: false,
  lowLatencyMode: true, // the distance to live is the playlist's PART-HOLD-BACK
  maxLiveSyncPlaybackRate: 1.08, // catches up half a second in six; with pitch kept, nobody hears it
  liveSyncOnStallIncrease: 0.5, // after a stall stay a little further back; a guess
  streamController: MainController,
  audioStreamController: AudioController,
  liveDurationInfinity: true, // else the duration is another one with every part, and the page is laid out for it
  backBufferLength: 30, // what is further back is loaded again; a page stays open for hours, its memory does not grow
  maxBufferLength: 20, // recordings: enough to ride out a bad moment,
  maxMaxBufferLength: 30, // and no more: what is fetched and never seen costs the operator all the same
  capLevelToPlayerSize: true,
  startFragPrefetch: true,
  testBandwidth: false, // else the first two seconds are always the lowest rung
  manifestLoadPolicy: policy(6_000, 2),
  playlistLoadPolicy: policy(10_000, 3), // a blocking reload may rightly take a few seconds
  fragLoadPolicy: policy(8_000, 4),
};
/** The edge answered, and the answer is that this ticket has no place there. */
const GONE = [401, 403, 410];
const RECOVERIES_MAX = 2;
const RECOVERY_WINDOW_MS = 15_000;

export function hlsSupported(): boolean {
  return Hls.isSupported();
}

export class HlsPlayer implements Player {
  private hls: Hls | null = null;
  private received = 0;
  private recoveries: number[] = [];
  /** The viewer's choice, which outlives a change of edge. */
  private wanted: Rung | null = null;
  private taking: Mesh | null = null;
  private stopFollowing: (() => void) | null = null;
  /** What meshes before this one brought. */
  private before: MeshStats | null = null;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly tell: (event: PlayerEvent) => void,
    private readonly wishes: Wishes,
  ) {}

  load(admission: Admission, from: From): void {
    this.unload();
    const { hls: url, maxRate } = admission;
    const abrEwmaDefaultEstimate = firstGuess(readHints(import.meta.url));
    const startPosition = from.at === "seconds" ? from.seconds : -1;
    const mesh = this.makeMesh(admission);
    const hls = new Hls({ ...SETTINGS, ...(mesh && hlsConfig(mesh)), abrEwmaDefaultEstimate, startPosition });
    this.hls = hls;
    this.stopFollowing = mesh && follow(mesh, hls, this.video);
    hls.on(Events.MANIFEST_PARSED, () => {
      if (maxRate !== null) dropAbove(hls, maxRate);
      this.wantAgain(hls);
    });
    if (from.at === "date") seekToDate(hls, this.video, from.ms);
    hls.on(Events.FRAG_LOADED, (_, data) => {
      this.received += data.payload.byteLength;
      this.tell({ is: "flow" });
    });
    hls.on(Events.LEVEL_LOADED, () => this.tell({ is: "flow" }));
    hls.on(Events.ERROR, (_, data) => this.onError(hls, data));
    hls.loadSource(url);
    hls.attachMedia(this.video);
  }

  reload(): void {
    if (!this.hls) return;
    // Without levels the multivariant playlist never came: begin again from there.
    if (this.hls.levels.length === 0 && this.hls.url) this.hls.loadSource(this.hls.url);
    else {
      this.hls.stopLoad(); // requests that hang on a dead connection would be waited for
      this.hls.startLoad(-1);
    }
  }

  unload(): void {
    this.leave();
    this.hls?.destroy();
    this.hls = null;
  }

  mesh(): MeshStats | null {
    const now = this.taking?.stats() ?? null;
    return now && this.before ? addStats(this.before, now) : (now ?? this.before);
  }

  carries(): boolean {
    return this.taking?.flows ?? false;
  }

  wish(p2p: P2p | null): void {
    this.wishes.p2p = p2p;
    this.taking?.ask(p2p);
  }

  tape(): Uint8Array {
    return this.taking?.tape() ?? new Uint8Array();
  }

  leave(): void {
    this.before = this.mesh();
    this.stopFollowing?.();
    this.stopFollowing = null;
    this.taking?.leave();
    this.taking = null;
  }

  rungs(): Rung[] {
    return (this.hls?.levels ?? []).map(rungOf).sort((a, b) => b.height - a.height || b.bitrate - a.bitrate);
  }

  current(): Rung | null {
    const hls = this.hls;
    const level = hls?.levels[hls.currentLevel];
    return hls && level ? rungOf(level, hls.currentLevel) : null;
  }

  chosen(): number | null {
    return this.wanted?.id ?? null;
  }

  choose(id: number | null): void {
    this.wanted = this.rungs().find((rung) => rung.id === id) ?? null;
    if (this.hls) this.hls.nextLevel = this.wanted?.id ?? -1;
  }

  live(): boolean | null {
    return this.hls?.latestLevelDetails?.live ?? null;
  }

  range(): { start: number; end: number } | null {
    const details = this.hls?.latestLevelDetails;
    const first = details?.fragments[0];
    return details && first ? { start: first.start, end: details.edge } : null;
  }

  liveSync(): number | null {
    return this.live() ? (this.hls?.liveSyncPosition ?? null) : null;
  }

  dateMs(): number | null {
    return this.hls?.playingDate?.getTime() ?? null;
  }

  bandwidth(): number | null {
    return this.hls && this.received > 0 ? this.hls.bandwidthEstimate : null;
  }

  bytes(): number {
    return this.received;
  }

  private makeMesh({ mesh, publisher }: Admission): Mesh | null {
    if (!mesh) return null;
    const { p2p, tapeBytes, join, moved } = this.wishes;
    this.taking = new Mesh({
      admission: mesh,
      asked: p2p,
      tapeBytes,
      recording: publisher === "vod",
      join: (lost) => join(lost),
      moved: (place) => moved(place.hls),
    });
    return this.taking;
  }

  private wantAgain(hls: Hls): void {
    const { wanted } = this;
    if (!wanted) return;
    this.wanted = this.rungs().find((rung) => rung.height === wanted.height) ?? null;
    if (this.wanted) hls.loadLevel = this.wanted.id;
  }

  private onError(hls: Hls, data: ErrorData): void {
    if (hls !== this.hls) return;
    if (this.carries() && data.type === ErrorTypes.NETWORK_ERROR) return data.fatal ? hls.startLoad(-1) : undefined;
    if (GONE.includes(data.response?.code ?? 0)) return this.tell({ is: "edge", what: "gone" });
    if (!data.fatal) return;
    if (data.type === ErrorTypes.NETWORK_ERROR) return this.tell({ is: "edge", what: "silent" });
    if (data.type === ErrorTypes.MEDIA_ERROR && this.mayRecover()) return this.recover(hls);
    this.tell({ is: "edge", what: "broken" });
  }

  private recover(hls: Hls): void {
    const playing = !this.video.paused;
    hls.recoverMediaError(); // attaches anew, which pauses
    if (playing) void this.video.play().catch(() => undefined);
  }

  /** hls.js mends most decoder trouble itself; trouble that keeps coming back needs a new place. */
  private mayRecover(): boolean {
    const now = performance.now();
    this.recoveries = this.recoveries.filter((at) => now - at < RECOVERY_WINDOW_MS);
    return this.recoveries.push(now) <= RECOVERIES_MAX;
  }
}

function rungOf(level: { height: number; bitrate: number }, id: number): Rung {
  return { id, height: level.height, bitrate: level.bitrate };
}

/** The ticket allows so many bits per second: take the rungs above off the ladder, but never the last one. */
function dropAbove(hls: Hls, maxRate: number): void {
  for (let i = hls.levels.length - 1; i >= 0; i -= 1) {
    const level = hls.levels[i];
    if (level && level.bitrate > maxRate && hls.levels.length > 1) hls.removeLevel(i);
  }
}

/** A new edge has the same dates but its own media time, which is known with the first media playlist. */
function seekToDate(hls: Hls, video: HTMLVideoElement, dateMs: number): void {
  hls.once(Events.LEVEL_UPDATED, (_, { details }) => {
    const at = details.fragments.find((f) => (f.programDateTime ?? 0) + f.duration * 1000 > dateMs);
    if (at?.programDateTime == null) return;
    const target = at.start + Math.max(0, dateMs - at.programDateTime) / 1000;
    const seek = () => void (video.currentTime = target);
    if (video.readyState >= HTMLMediaElement.HAVE_METADATA) seek();
    else video.addEventListener("loadedmetadata", seek, { once: true });
  });
}

function policy(firstByteMs: number, retries: number): HlsConfig["fragLoadPolicy"] {
  const again = { maxNumRetry: retries, retryDelayMs: 500, maxRetryDelayMs: 4_000 };
  return {
    default: {
      maxTimeToFirstByteMs: firstByteMs,
      maxLoadTimeMs: 30_000,
      timeoutRetry: { maxNumRetry: 1, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: again,
    },
  };
}
