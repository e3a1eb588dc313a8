// What does the video element do right now? Watches it and says so in the page's words (Media), counts stalls,
// notes the first frame, and settles autoplay: with sound, else muted, else blocked.
// Invariant: `tell` is called only when the word changes.
import type { Media } from "../page";

/** `waiting` fires late or never in some browsers: no progress for this long is a stall as well. */
const STALL_MS = 400;
const TICK_MS = 100;

export class Screen {
  /** Times the picture stopped for want of data; the viewer's own seeking does not count. */
  stalls = 0;
  private stoodMs = 0;
  private stoodSince: number | null = null;
  /** performance.now() of the first frame since `expect`. */
  firstFrameMs: number | null = null;
  /** The browser allowed autoplay only without sound. */
  mutedByBrowser = false;

  private media: Media = "starting";
  private blocked = false;
  private lastTime = 0;
  private movedMs = 0;
  private seeking = false;
  /** Loaded but not asked to play: the page says what is shown until somebody presses play. */
  private idle = false;

  constructor(
    readonly video: HTMLVideoElement,
    private readonly tell: (media: Media) => void,
    private readonly onFrame: () => void,
  ) {
    for (const name of ["play", "pause", "playing", "waiting", "ended", "seeked"]) {
      video.addEventListener(name, () => this.look(name === "waiting"));
    }
    video.addEventListener("seeking", () => (this.seeking = true));
    video.addEventListener("volumechange", () => !video.muted && (this.mutedByBrowser = false));
    window.setInterval(() => this.look(false), TICK_MS);
  }

  /** How long the picture stood for want of data, all stalls together. */
  get stalledMs(): number {
    return Math.round(this.stoodMs + (this.stoodSince === null ? 0 : performance.now() - this.stoodSince));
  }

  /** A new source is about to be loaded, to be played or only to be looked at. */
  expect(play: boolean): void {
    this.idle = !play;
    this.firstFrameMs = null;
    this.seeking = true; // the gap until its first frame is no stall
    this.blocked = false;
    this.media = play ? "starting" : "finished";
    this.awaitFrame();
  }

  async play(): Promise<void> {
    this.idle = false;
    this.blocked = false;
    if ((await tryPlay(this.video)) !== "refused") return this.look(false);
    const wasMuted = this.video.muted;
    this.video.muted = true;
    // A second call that overlaps finds the video muted already, by the first: what that one knew must stay.
    if (!wasMuted) this.mutedByBrowser = true;
    this.blocked = (await tryPlay(this.video)) === "refused";
    if (this.blocked && !wasMuted) {
      this.video.muted = false;
      this.mutedByBrowser = false;
    }
    this.look(false);
  }

  private awaitFrame(): void {
    const { video } = this;
    const seen = () => {
      if (this.firstFrameMs !== null) return;
      this.firstFrameMs = performance.now();
      this.onFrame();
    };
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(seen);
    else (video as HTMLVideoElement).addEventListener("playing", seen, { once: true });
  }

  private look(waiting: boolean): void {
    const { video } = this;
    if (this.idle) return;
    const now = performance.now();
    const moved = video.currentTime !== this.lastTime;
    this.lastTime = video.currentTime;
    if (moved) this.movedMs = now;
    if (this.blocked) return this.set("blocked");
    if (video.ended) return this.set("finished");
    if (this.firstFrameMs === null) return;
    if (video.paused) return this.set("stopped");
    if (waiting || (now - this.movedMs > STALL_MS && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA)) {
      return this.set("buffering");
    }
    if (moved && !video.seeking) this.set("playing");
  }

  private set(media: Media): void {
    if (media === "playing") this.seeking = false;
    if (media === this.media) return;
    if (this.stoodSince !== null) this.stoodMs += performance.now() - this.stoodSince;
    this.stoodSince = null;
    if (media === "buffering" && this.media === "playing" && !this.seeking) {
      this.stalls += 1;
      this.stoodSince = this.movedMs;
    }
    this.media = media;
    this.tell(media);
  }
}

async function tryPlay(video: HTMLVideoElement): Promise<"playing" | "refused" | "interrupted"> {
  try {
    await video.play();
    return "playing";
  } catch (error) {
    // AbortError: another load or pause came between; only NotAllowedError is the browser's no.
    return (error as DOMException).name === "NotAllowedError" ? "refused" : "interrupted";
  }
}
