// How does a browser without Media Source Extensions (Safari on older iPhones) play our streams? By itself.
// It says little: no rungs, no bandwidth, no bytes. An error of it is `silent` until the pulse knows better.
import type { From, Player, PlayerEvent, Rung } from "./player";

export function nativeSupported(video: HTMLVideoElement): boolean {
  return video.canPlayType("application/vnd.apple.mpegurl") !== "";
}

export class NativePlayer implements Player {
  constructor(private readonly video: HTMLVideoElement, private readonly tell: (event: PlayerEvent) => void) {
    video.addEventListener("error", () => video.currentSrc && this.tell({ is: "edge", what: errorWord(video) }));
    video.addEventListener("progress", () => this.tell({ is: "flow" }));
  }

  load({ hls }: { hls: string }, from: From): void {
    this.video.src = hls;
    if (from.at === "default") return;
    const seek = () => {
      const date = this.startMs();
      if (from.at === "seconds") this.video.currentTime = from.seconds;
      else if (date !== null) this.video.currentTime = (from.ms - date) / 1000;
    };
    this.video.addEventListener("loadedmetadata", seek, { once: true });
  }

  reload(): void {
    const { currentSrc, currentTime } = this.video;
    if (currentSrc) this.load({ hls: currentSrc }, this.live() ? { at: "default" } : { at: "seconds", seconds: currentTime });
  }

  unload(): void {
    this.video.removeAttribute("src");
    this.video.load();
  }

  rungs(): Rung[] {
    return [];
  }

  current(): Rung | null {
    return this.video.videoHeight ? { id: 0, height: this.video.videoHeight, bitrate: 0 } : null;
  }

  chosen(): number | null {
    return null;
  }

  choose(): void {}

  live(): boolean | null {
    return Number.isNaN(this.video.duration) ? null : this.video.duration === Infinity;
  }

  range(): { start: number; end: number } | null {
    const { seekable } = this.video;
    return seekable.length ? { start: seekable.start(0), end: seekable.end(seekable.length - 1) } : null;
  }

  liveSync(): number | null {
    return this.live() ? (this.range()?.end ?? null) : null;
  }

  dateMs(): number | null {
    const start = this.startMs();
    return start === null ? null : start + this.video.currentTime * 1000;
  }

  bandwidth(): number | null {
    return null;
  }

  bytes(): number {
    return 0;
  }

  mesh(): null {
    return null;
  }

  carries(): boolean {
    return false;
  }

  wish(): void {
    // There is no mesh to tell.
  }

  tape(): Uint8Array {
    return new Uint8Array();
  }

  leave(): void {
    // The browser says good-bye for itself.
  }

  /** getStartDate is Safari's own: the programme date of media time zero. */
  private startMs(): number | null {
    const date = (this.video as { getStartDate?: () => Date }).getStartDate?.();
    const ms = date?.getTime() ?? NaN;
    return Number.isNaN(ms) ? null : ms;
  }
}

function errorWord(video: HTMLVideoElement): "silent" | "broken" {
  return video.error?.code === MediaError.MEDIA_ERR_DECODE ? "broken" : "silent";
}
