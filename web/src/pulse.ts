// Is the publisher there, and what time is it on the server?
// Asks the edge's state.json, one request at a time, for as long as it runs. A single missed answer means nothing
// (media may flow all the same); two in a row mean the edge is silent; 403, 404 and 410 mean our place is gone.
import { offsetMs, sample, withSample, type Sample } from "./clock";
import { getJson } from "./http";
import { readPublisher } from "./join";
import type { Event } from "./page";

const EVERY_MS = 2_500;
const TIMEOUT_MS = 3_000;
const MISSES_MAX = 2;

export class Pulse {
  private timer = 0;
  private run = 0;
  private misses = 0;
  private samples: Sample[] = [];

  constructor(private readonly tell: (event: Event) => void) {}

  /** `hls` is the address of index.m3u8; state.json lies beside it. */
  begin(hls: string): void {
    this.end();
    this.samples = [];
    this.misses = 0;
    void this.beat(new URL("state.json", hls).href, this.run);
  }

  end(): void {
    this.run += 1;
    clearTimeout(this.timer);
  }

  /** The server's clock now, ms since 1970, or null until it has been heard. */
  serverNowMs(): number | null {
    const offset = offsetMs(this.samples);
    return offset === null ? null : Date.now() + offset;
  }

  private async beat(url: string, run: number): Promise<void> {
    const answer = await getJson(url, TIMEOUT_MS);
    if (run !== this.run) return;
    this.timer = window.setTimeout(() => void this.beat(url, run), EVERY_MS);
    if (answer && [401, 403, 404, 410].includes(answer.status)) return this.tell({ is: "edge", what: "gone" });
    if (answer?.status !== 200) return this.missed();
    this.misses = 0;
    const said = (answer.body ?? {}) as { state?: unknown; server_time_ms?: unknown };
    if (typeof said.server_time_ms === "number") {
      this.samples = withSample(this.samples, sample(answer.sentMs, answer.heardMs, said.server_time_ms));
    }
    const state = readPublisher(said.state);
    if (state) this.tell({ is: "publisher", state });
  }

  private missed(): void {
    this.misses += 1;
    if (this.misses % MISSES_MAX === 0) this.tell({ is: "edge", what: "silent" });
  }
}
