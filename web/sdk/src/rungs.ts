// Which renditions does the player want, which were wished for, and which does the engine bring? Names are those of playlists.
import { ladder } from "./playlist";

/** A cluster that had no slots may have some then. */
const WISH_AGAIN_MS = 10_000;

export class Rungs {
  /** How many videos the ladder has. */
  videos = 0;
  private video: string | null = null;
  private audio: string | null = null;
  private wished: string | null = null;
  private wishAgainMs = 0;
  /** What the engine brings, by position in the catalogue: videos come first. */
  brought: readonly number[] = [];

  /** A multivariant playlist came. */
  know(text: string): void {
    const { videos, audios } = ladder(text);
    this.videos = videos.length;
    this.audio ??= audios[0] ?? null;
  }

  /** The player loads this rendition. True: that is news. */
  take(rendition: string): boolean {
    const video = rendition.startsWith("v");
    if (rendition === (video ? this.video : this.audio)) return false;
    if (video) this.video = this.wished = rendition;
    else this.audio = rendition;
    return true;
  }

  /** The player would like this rung of pictures. True: the cluster is to be asked. One wish at a time, or none would ever
   * be granted. */
  wish(rendition: string, nowMs: number): boolean {
    if (nowMs < this.wishAgainMs && this.wished !== this.video) return false;
    this.wished = rendition;
    this.wishAgainMs = nowMs + WISH_AGAIN_MS;
    return true;
  }

  /** The rung of pictures that was wished for and is brought from this key frame on. */
  get granted(): string | null {
    return this.wished !== null && this.brought.includes(Number(this.wished.slice(1))) ? this.wished : null;
  }

  /** What to ask of the edge, such as `v1 a0`; empty: not known yet. */
  wanted(video: string | null = this.video): string {
    if (video === null && this.videos > 0) return "";
    return [video, this.audio].filter((name) => name !== null).join(" ");
  }
}
