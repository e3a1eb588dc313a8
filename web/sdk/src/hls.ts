// How does hls.js 1.7 play from the mesh? By two loaders: playlists are answered from what is listed here, media from what
// is here or about to be, and whatever is neither is fetched from the edge by hls.js's own loader.
//
// Honest numbers: what hls.js takes for loading time is the time from a part's descriptor to its last chunk. The time
// until there was anything to load is nobody's slowness, and an answer from memory no sign of a fast line.
import type Hls from "hls.js";
import type {
  Events, FragmentLoaderContext, HlsConfig, Loader, LoaderCallbacks, LoaderConfiguration, LoaderContext, LoaderStats,
  PlaylistLoaderContext,
} from "hls.js";
import { grantedAbr } from "./abr";
import type { Mesh } from "./mesh";
import { pace } from "./pace";
import { mediaOf, renditionOf, type MediaName } from "./urls";

/** A part that is on its way is waited for until its time is up, and no longer than this, whatever happens. */
const MEDIA_WAIT_MS = 4_000;
/** A playlist is waited for no longer; then the edge is asked. */
const LIST_WAIT_MS = 2_500;
/** Nothing is loaded faster than this for all that hls.js shall know. */
const LOAD_MS_MIN = 5;
/** How often the engine hears where the player is. */
const FOLLOW_MS = 500;
/** How often its pace is looked at. */
const PACE_MS = 250;
/** Until the playlists tell: the part time of all our streams. */
const PART_S = 1 / 3;
/** `Events.BUFFER_APPENDED`; hls.js is the page's own, and none of it is loaded here. */
const BUFFER_APPENDED = "hlsBufferAppended" as Events.BUFFER_APPENDED;
/** Smaller changes of H are not worth a change of speed. */
const TARGET_CHANGE_S = 0.1;

/** For `new Hls({...})`. */
export function hlsConfig(mesh: Mesh): Partial<HlsConfig> {
  return {
    lowLatencyMode: true,
    maxLiveSyncPlaybackRate: 1, // `follow` sets the pace
    liveSyncOnStallIncrease: 0.25, // the engine's H is what keeps playback from stalls; this only breaks a rhythm of them
    abrController: grantedAbr(mesh),
    pLoader: class extends PlaylistLoader {
      constructor(config: HlsConfig) {
        super(config, mesh);
      }
    } as unknown as HlsConfig["pLoader"],
    fLoader: class extends MediaLoader {
      constructor(config: HlsConfig) {
        super(config, mesh);
      }
    } as unknown as HlsConfig["fLoader"],
  };
}

/** Keeps engine and player in step: the player stays as far behind as the mesh promises, the engine knows where it is.
 * Returns how to stop. */
export function follow(mesh: Mesh, hls: Hls, media: HTMLMediaElement): () => void {
  let target = 0;
  const step = () => {
    const details = hls.latestLevelDetails;
    const wanted = mesh.holdBackMs() / 1000 + (details?.partTarget || PART_S);
    const live = (mesh.plays || mesh.undecided) && details?.live !== false;
    if (live && Math.abs(wanted - target) > TARGET_CHANGE_S) hls.targetLatency = target = wanted;
    if (!live && target > 0 && details?.partHoldBack) {
      hls.targetLatency = details.partHoldBack;
      target = 0;
    }
    const date = hls.playingDate;
    if (date && media.readyState > 0) mesh.at(date.getTime(), bufferAhead(media) * 1000, media.paused);
  };
  step();
  // hls.js goes to where it starts when all parts of a segment that the edge listed are in its buffer. The newest of them are
  // brought later than that.
  const begin = () => {
    const at = hls.startPosition;
    if (!hls.hasEnoughToStart && !media.seeking && media.currentTime < at && bufferedFrom(media, at) > 0) media.currentTime = at;
  };
  hls.on(BUFFER_APPENDED, begin);
  const keepPace = () => {
    const { latency, targetLatency } = hls;
    if (!hls.latestLevelDetails?.live || media.paused || !targetLatency || media.readyState < 3) return;
    const rate = pace(latency - targetLatency, bufferAhead(media));
    if (media.playbackRate !== rate) media.playbackRate = rate;
  };
  const timer = setInterval(step, FOLLOW_MS);
  const pacer = setInterval(keepPace, PACE_MS);
  const seeks = () => mesh.seeks();
  media.addEventListener("seeking", seeks);
  media.addEventListener("seeked", step);
  media.addEventListener("pause", step);
  media.addEventListener("play", step);
  return () => {
    clearInterval(timer);
    clearInterval(pacer);
    hls.off(BUFFER_APPENDED, begin);
    media.playbackRate = 1;
    media.removeEventListener("seeking", seeks);
    for (const name of ["seeked", "pause", "play"]) media.removeEventListener(name, step);
  };
}

/** What both loaders have in common: an answer from here, or hls.js's own loader. */
abstract class MeshLoader<C extends LoaderContext> implements Loader<C> {
  context: C | null = null;
  readonly stats: LoaderStats = newStats();
  protected callbacks: LoaderCallbacks<C> | null = null;
  private inner: Loader<C> | null = null;
  private config: LoaderConfiguration | null = null;
  private stopWatching: (() => void) | null = null;
  private patience: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly hlsConfig: HlsConfig, protected readonly mesh: Mesh) {}

  load(context: C, config: LoaderConfiguration, callbacks: LoaderCallbacks<C>): void {
    [this.context, this.config, this.callbacks] = [context, config, callbacks];
    // What calls us goes on with what it does first.
    queueMicrotask(() => this.callbacks && this.begin(context));
  }

  abort(): void {
    const { callbacks, context, inner } = this;
    this.rest();
    if (inner) return inner.abort();
    if (!callbacks || !context) return;
    this.callbacks = null;
    this.stats.aborted = true;
    callbacks.onAbort?.(this.stats, context, null);
  }

  destroy(): void {
    this.rest();
    this.callbacks = null;
    this.inner?.destroy();
    this.inner = null;
  }

  getCacheAge(): number | null {
    return this.inner?.getCacheAge?.() ?? null;
  }

  getResponseHeader(name: string): string | null {
    return this.inner?.getResponseHeader?.(name) ?? null;
  }

  protected abstract begin(context: C): void;

  /** Something came over HTTP. False: it is not to be used. */
  protected abstract fetched(context: C, data: unknown): boolean;

  /** Asks `look` now and after every change, until it says that it is done, or for so long; then the edge is asked. */
  protected wait(look: () => boolean, ms: number): void {
    if (look()) return;
    waiting(this.stats);
    this.watch(look);
    this.patience = setTimeout(() => this.fetch(), ms);
  }

  private failed(tell: () => void): void {
    this.rest();
    tell();
  }

  /** Asks `look` after every change, until it says that it is done. */
  protected watch(look: () => boolean): void {
    if (!this.callbacks) return;
    this.stopWatching?.();
    // What `look` decides may be to look for something else from then on.
    const stop = this.mesh.watch(() => this.callbacks && look() && this.stopWatching === stop && this.rest());
    this.stopWatching = stop;
  }

  /** The edge need not answer any more. */
  protected giveUp(): void {
    if (!this.inner) return;
    // Its end is not ours.
    this.inner.stats = newStats();
    this.inner.destroy();
    this.inner = null;
  }

  protected rest(): void {
    clearTimeout(this.patience);
    this.stopWatching?.();
    this.stopWatching = null;
  }

  protected answer(data: string | ArrayBuffer, ms: number): void {
    const { callbacks, context, stats } = this;
    this.rest();
    if (!callbacks || !context) return;
    this.callbacks = null;
    const size = typeof data === "string" ? data.length : data.byteLength;
    const end = performance.now();
    stats.loading = { start: end - Math.max(ms, LOAD_MS_MIN), first: end - Math.max(ms, LOAD_MS_MIN), end };
    [stats.loaded, stats.total, stats.chunkCount] = [size, size, 1];
    callbacks.onSuccess({ url: context.url, data, code: 200 }, stats, context, null);
  }

  /** From the edge, as if there were no mesh. */
  protected fetch(): void {
    const { callbacks, context, config } = this;
    this.rest();
    if (!callbacks || !context || !config || this.inner) return;
    const inner = new this.hlsConfig.loader(this.hlsConfig) as unknown as Loader<C>;
    this.inner = inner;
    Object.assign(this.stats, newStats());
    inner.stats = this.stats;
    const named = { ...context, url: this.mesh.address(context.url) };
    inner.load(named, config, {
      onSuccess: (response, stats, _, details) => {
        this.rest();
        if (!this.callbacks) return;
        this.callbacks = null;
        if (this.fetched(context, response.data)) return callbacks.onSuccess(response, stats, context, details);
        callbacks.onError({ code: 0, text: "not what was signed" }, context, details, stats);
      },
      onError: (error, _, details, stats) => this.failed(() => callbacks.onError(error, context, details, stats)),
      onTimeout: (stats, _, details) => this.failed(() => callbacks.onTimeout(stats, context, details)),
      onAbort: (stats, _, details) => callbacks.onAbort?.(stats, context, details),
      onProgress: callbacks.onProgress && ((stats, _, data, details) => callbacks.onProgress?.(stats, context, data, details)),
    });
  }
}

class PlaylistLoader extends MeshLoader<PlaylistLoaderContext> {
  protected begin(context: PlaylistLoaderContext): void {
    const rendition = renditionOf(context.url);
    if (rendition === null) return this.fetch();
    this.mesh.wants(rendition);
    // The first time the edge tells what was before.
    if (!this.mesh.hasHistory(rendition)) return this.fetch();
    const asked = new URL(context.url, location.href).searchParams;
    const msn = asked.get("_HLS_msn");
    const part = asked.get("_HLS_part");
    const answer = () => {
      const text = this.mesh.playlist(rendition);
      if (text === null) this.fetch();
      else this.answer(text, LOAD_MS_MIN);
      return true;
    };
    if (msn === null) return void answer();
    this.wait(() => {
      const there = this.mesh.lists(Number(msn), part === null ? null : Number(part));
      if (there === false) return false;
      if (there === null) this.fetch();
      else answer();
      return true;
    }, LIST_WAIT_MS);
  }

  protected fetched(context: PlaylistLoaderContext, data: unknown): boolean {
    if (typeof data !== "string") return true;
    const rendition = renditionOf(context.url);
    if (rendition === null) this.mesh.knowLadder(data);
    // A delta update is no history.
    else if (!data.includes("#EXT-X-SKIP:")) this.mesh.keepHistory(rendition, data);
    return true;
  }
}

class MediaLoader extends MeshLoader<FragmentLoaderContext> {
  /** A busy edge lets media of who has a link wait; whatever of both has all of it first is taken. */
  protected override fetch(): void {
    const endMs = this.context?.frag.endProgramDateTime;
    if (endMs) this.mesh.fetches(endMs);
    super.fetch();
    const media = this.context && !this.context.rangeEnd ? mediaOf(this.context.url) : null;
    if (media && media.kind !== "init") this.watch(() => this.takeHere(media));
  }

  private takeHere({ run, rendition, kind, number }: MediaName): boolean {
    if (this.mesh.find(run, rendition, kind, number) !== "here") return false;
    const taken = this.mesh.take(run, kind, number);
    if (!taken) return false;
    this.mesh.threwAway(this.stats.loaded);
    this.giveUp();
    this.answer(taken.data, taken.ms);
    return true;
  }

  protected begin(context: FragmentLoaderContext): void {
    const media = mediaOf(context.url);
    if (!media || media.kind === "init" || context.rangeEnd) return this.fetch();
    const { run, rendition, kind, number } = media;
    if (this.mesh.isRecording) this.mesh.wants(rendition);
    this.wait(() => {
      const found = this.mesh.find(run, rendition, kind, number);
      if (found === "coming") return false;
      const taken = found === "here" ? this.mesh.take(run, kind, number) : null;
      if (taken) this.answer(taken.data, taken.ms);
      else this.fetch();
      return true;
    }, this.mesh.patienceMs(MEDIA_WAIT_MS));
  }

  protected fetched(context: FragmentLoaderContext, data: unknown): boolean {
    if (!(data instanceof ArrayBuffer)) return true;
    const media = mediaOf(context.url);
    const isGood = media?.kind !== "init" || this.mesh.isInit(media.run, media.rendition, data) !== false;
    if (isGood) {
      this.mesh.tookHttp(data.byteLength, media);
      if (media) this.mesh.offer(media, data);
    } else this.mesh.threwAway(data.byteLength);
    return isGood;
  }
}

const bufferAhead = (media: HTMLMediaElement): number => bufferedFrom(media, media.currentTime);

/** Seconds without a gap from there on. */
function bufferedFrom({ buffered }: HTMLMediaElement, from: number): number {
  for (let at = 0; at < buffered.length; at += 1) {
    if (buffered.start(at) <= from && from < buffered.end(at)) return buffered.end(at) - from;
  }
  return 0;
}

/** While it waits, loading has not begun: hls.js would take it for a slow line, and go down a rung. */
function waiting(stats: LoaderStats): void {
  const loading = { first: 0, end: 0 } as LoaderStats["loading"];
  Object.defineProperty(loading, "start", { get: () => performance.now(), set: () => undefined, configurable: true, enumerable: true });
  stats.loading = loading;
}

function newStats(): LoaderStats {
  const timing = () => ({ start: 0, first: 0, end: 0 });
  return {
    aborted: false, loaded: 0, retry: 0, total: 0, chunkCount: 0, bwEstimate: 0,
    loading: timing(), parsing: { start: 0, end: 0 }, buffering: timing(),
  };
}
