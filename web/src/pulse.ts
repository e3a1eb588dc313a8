// Is the publisher there, and what time is it on the server?
// Asks the edge's state.json, one request at a time, for as long as it runs. A single missed answer means nothing
// (media may flow all the same); two in a row mean the edge is silent; 403, 404 and 410 mean our place is gone.
import { offsetMs, sample, withSample, type Sample } from "./clock";
import { getJson, type Answer } from "./http";
import { readPublisher } from "./join";
import type { Event, Publisher } from "./page";

const EVERY_MS = 2_500;
/** Of what has ended, or is a recording, there is seldom news. */
const SELDOM_MS = 10_000;
const TIMEOUT_MS = 3_000;
const MISSES_MAX = 2;

export class Pulse {
  private timer = 0;
  private run = 0;
  private misses = 0;
  private state: Publisher | null = null;
  private samples: Sample[] = [];

  constructor(private readonly tell: (event: Event) => void) {}

  /** `hls` is the address of index.m3u8; state.json lies beside it. */
  begin(hls: string): void {
    this.end();
    this.samples = [];
    this.misses = 0;
    this.state = null;
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
    const event = this.hear(answer);
    const everyMs = this.state === "ended" || this.state === "vod" ? SELDOM_MS : EVERY_MS;
    this.timer = window.setTimeout(() => void this.beat(url, run), everyMs);
    if (event) this.tell(event); // which may end us
  }

  private hear(answer: Answer | null): Event | null {
    if (answer && [401, 403, 404, 410].includes(answer.status)) return { is: "edge", what: "gone" };
    if (answer?.status !== 200) return this.missed();
    this.misses = 0;
    const said = (answer.body ?? {}) as { state?: unknown; server_time_ms?: unknown };
    if (typeof said.server_time_ms === "number") {
      this.samples = withSample(this.samples, sample(answer.sentMs, answer.heardMs, said.server_time_ms));
    }
    this.state = readPublisher(said.state) ?? this.state;
    return this.state && { is: "publisher", state: this.state };
  }

  private missed(): Event | null {
    this.misses += 1;
    return this.misses % MISSES_MAX === 0 ? { is: "edge", what: "silent" } : null;
  }
}
