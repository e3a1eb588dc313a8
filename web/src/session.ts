// Who carries out what the page decides? This hallway owns the machinery (manager, pulse, player, screen, timer),
// turns what it says into events, runs the effects, and answers what the viewer presses.
import { keepToken, keptToken, forgetToken } from "./token";
import { join } from "./join";
import { label, next, start, type Admission, type Effect, type Event, type Page } from "./page";
import { Pulse } from "./pulse";
import { Freeze } from "./player/freeze";
import type { P2p } from "../sdk/src/index";
import type { From, Player, PlayerEvent, Wishes } from "./player/player";
import { Screen } from "./player/screen";
import { LIVE_SLACK_S, shouldJump, timeline, type Timeline } from "./timeline";
import { readStats, type Stats } from "./stats";
import { canLink } from "../sdk/src/peer-links";
import { circumstances, decide } from "../sdk/src/policy";
import { isTrouble, watch, type Dry } from "./watchdog";
import { keepWish } from "./wish";

/** Some minutes of a stream. */
const TAPE_BYTES = 32_000_000;
/** An impatient viewer asks no more often than this. */
const PRESS_MS = 3_000;
/** Reasons for which this page takes part in no mesh: its next place is a plain player's. */
const FAILED: readonly string[] = ["no_wasm", "no_webrtc", "engine_failed", "link_refused"];

export type MakePlayer = (video: HTMLVideoElement, tell: (event: PlayerEvent) => void, wishes: Wishes) => Player | null;

export class Session {
  page: Page = start;
  readonly screen: Screen;
  readonly pulse: Pulse;
  player: Player | null = null;
  /** performance.now() when the waiting stage acts, or null. */
  wakeAtMs: number | null = null;
  /** From navigation (or, after waiting, from the join that was admitted) to the first frame, ms. */
  startupMs: number | null = null;

  private token: string | null;
  private timer = 0;
  private joining = false;
  private waited = false;
  private joinedAtMs = 0;
  private following = true;
  private dry: Dry = { bytes: 0, ms: 0 };
  /** Where the viewer was when the place was lost altogether. */
  private leftAt: From | null = null;
  private readonly freeze: Freeze;

  constructor(
    readonly stream: string,
    token: string | null,
    private readonly mesh: { p2p: P2p | null; record: boolean },
    readonly video: HTMLVideoElement,
    canvas: HTMLCanvasElement,
    private readonly playerReady: Promise<MakePlayer>,
    private readonly changed: () => void,
  ) {
    if (token) keepToken(stream, token);
    this.token = token ?? keptToken(stream);
    this.freeze = new Freeze(canvas, video);
    this.pulse = new Pulse((event) => this.hear(event));
    this.screen = new Screen(video, (media) => this.dispatch({ is: "media", media }), () => this.onFirstFrame());
    window.setInterval(() => this.look(), 1_000);
    window.addEventListener("online", () => label(this.page) === "lost" && this.dispatch({ is: "again" }));
  }

  begin(): void {
    this.run({ do: "join" });
  }

  dispatch(event: Event): void {
    const { page, effects } = next(this.page, event, Math.random());
    const same = page === this.page && effects.length === 0;
    this.page = page;
    for (const effect of effects) this.run(effect);
    if (!same) this.changed();
  }

  /** The viewer pressed what the state offers. */
  press(): void {
    if (this.mayPress()) this.dispatch({ is: "again" });
  }

  /** What asks the server may be pressed as often as anybody likes, and asks it once in a while. */
  mayPress(): boolean {
    const asks = this.page.stage.at !== "watching";
    return !asks || (!this.joining && performance.now() - this.joinedAtMs >= PRESS_MS);
  }

  timeline(): Timeline {
    const { video, player } = this;
    return timeline({
      live: player?.live() ?? null,
      range: player?.range() ?? null,
      at: video.currentTime,
      bufferedTo: video.currentTime + bufferAhead(video),
      liveSync: player?.liveSync() ?? null,
    });
  }

  stats(): Stats {
    return readStats(this.video, this.player, this.screen, this.pulse.serverNowMs(), bufferAhead(this.video));
  }

  /** What is to be given from now on. */
  get wish(): P2p | null {
    return this.mesh.p2p;
  }

  setWish(wish: P2p | null): void {
    this.mesh.p2p = wish;
    keepWish(wish);
    this.player?.wish(wish);
  }

  togglePlay(): void {
    if (label(this.page) === "ended") return this.press();
    if (!this.video.paused) return this.video.pause();
    if (this.player) void this.play();
  }

  async play(): Promise<void> {
    if (label(this.page) === "blocked") return this.goLive(); // pressed late, but never meant to be behind
    this.following = this.timeline().behind < LIVE_SLACK_S;
    await this.screen.play();
  }

  seek(seconds: number): void {
    const { start: from, end, kind } = this.timeline();
    if (kind === "none") return;
    const target = Math.min(Math.max(seconds, from), end);
    this.following = kind === "live" && end - target < LIVE_SLACK_S;
    this.video.currentTime = target;
    if (label(this.page) === "ended") void this.screen.play();
  }

  goLive(): void {
    const sync = this.player?.liveSync();
    if (sync != null) this.video.currentTime = sync;
    this.following = true;
    void this.screen.play();
  }

  private run(effect: Effect): void {
    switch (effect.do) {
      case "join":
        return void this.join();
      case "load":
        return void this.load(effect.admission, effect.play);
      case "reload":
        return this.player?.reload();
      case "unload":
        return this.unload();
      case "wake":
        return this.wake(effect.ms);
      case "rest":
        return this.cancelWake();
      case "play":
        return void this.play();
      case "replay":
        return this.replay();
      case "forget_token":
        this.token = null;
        return forgetToken(this.stream);
    }
  }

  private async join(): Promise<void> {
    if (this.joining) return;
    this.joining = true;
    this.cancelWake();
    this.joinedAtMs = performance.now();
    const event = await join(this.stream, this.token, this.gives() ? {} : null);
    this.joining = false;
    if (event.is !== "admitted") this.waited = true;
    this.dispatch(event);
  }

  private async load(admission: Admission, play: boolean): Promise<void> {
    this.cancelWake();
    const from = this.leftAt ?? this.whereToBegin();
    this.leftAt = null;
    const make = await this.playerReady;
    this.player ??= make(this.video, (event) => this.onPlayer(event), this.wishes());
    if (!this.player) return this.dispatch({ is: "impossible", error: "no_player" });
    this.freeze.hold();
    this.screen.expect(play);
    this.player.load(admission, from);
    this.pulse.begin(admission.hls);
    if (play) void this.screen.play();
  }

  /** How it takes part in a mesh, as far as is known before the operator's word is. */
  takes(): P2p {
    const plays = "MediaSource" in window || "ManagedMediaSource" in window;
    return plays && canLink() ? decide(circumstances(this.mesh.p2p, "on")).p2p : "off";
  }

  private gives(): boolean {
    return !FAILED.includes(this.player?.mesh()?.reason ?? "") && this.takes() === "on";
  }

  private wishes(): Wishes {
    return {
      p2p: this.mesh.p2p,
      tapeBytes: this.mesh.record ? TAPE_BYTES : 0,
      join: async (past) => {
        const event = await join(this.stream, this.token, past);
        return event.is === "admitted" ? event.admission.mesh : null;
      },
      moved: (hls) => this.pulse.begin(hls),
    };
  }

  /** A change of edge goes on where the viewer was, unless that was live or the end. */
  private whereToBegin(): From {
    const date = this.player?.dateMs() ?? null;
    const { picture, publisher, media } = this.page;
    if (!picture || (publisher === "ended" && media === "finished")) return { at: "default" };
    if (publisher === "vod") return { at: "seconds", seconds: this.video.currentTime };
    return this.following || date === null ? { at: "default" } : { at: "date", ms: date };
  }

  private unload(): void {
    this.cancelWake();
    this.leftAt ??= this.whereToBegin();
    this.freeze.hold();
    this.pulse.end();
    this.player?.unload();
  }

  private replay(): void {
    const from = this.player?.range()?.start;
    this.following = false;
    if (from !== undefined) this.video.currentTime = from;
    void this.screen.play();
  }

  private wake(ms: number): void {
    clearTimeout(this.timer);
    this.wakeAtMs = performance.now() + ms;
    this.timer = window.setTimeout(() => {
      this.wakeAtMs = null;
      this.dispatch({ is: "due" });
    }, ms);
  }

  private cancelWake(): void {
    clearTimeout(this.timer);
    this.wakeAtMs = null;
  }

  private onPlayer(event: PlayerEvent): void {
    if (event.is === "flow" && this.page.stage.at !== "lost") return; // the common case, many times a second
    this.hear(event);
  }

  private hear(event: Event): void {
    if (isTrouble(event, this.player?.carries() ?? false)) this.dispatch(event);
  }

  private onFirstFrame(): void {
    this.freeze.release();
    this.startupMs ??= (this.screen.firstFrameMs ?? 0) - (this.waited ? this.joinedAtMs : 0);
    this.changed();
  }

  private look(): void {
    if (shouldJump(this.timeline(), this.following, label(this.page))) this.goLive();
    const { dry, stuck } = watch(this.dry, this.page, this.player?.bytes() ?? 0, performance.now());
    this.dry = dry;
    // Asks nobody who carries: that nothing comes is trouble whoever should bring it.
    if (stuck) this.dispatch({ is: "edge", what: "silent" });
  }
}

function bufferAhead(video: HTMLVideoElement): number {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i += 1) {
    // A playhead a hair before a range is inside it for every practical purpose.
    if (buffered.start(i) <= currentTime + 0.1 && currentTime < buffered.end(i)) return buffered.end(i) - currentTime;
  }
  return 0;
}
