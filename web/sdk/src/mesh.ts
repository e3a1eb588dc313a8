// How does one viewer take part? The hallway: joins the engine, the link to the edge, the links to other viewers and the
// player's loaders, and passes values between them. Whatever goes wrong here ends in plain HLS and a reason.
import { bytesOf64, bytesOfHex } from "./bytes";
import { EdgeLink } from "./edge-link";
import { Engine, type Host } from "./engine";
import { rememberedUplink, rememberUplink } from "./memory";
import { canLink, PeerLinks } from "./peer-links";
import { splice } from "./playlist";
import { circumstances, decide, onLineChange, type Decision, type P2p } from "./policy";
import { ofBye, sentence, type Reason } from "./reasons";
import { Rungs } from "./rungs";
import { readCounts, type MeshStats, type Rescue } from "./stats";
import type { MediaName } from "./urls";
import { loadEngine, Options, PeerEngine } from "./wasm";

/** What a join answered. */
export interface Admission {
  stream: string;
  /** As the join has it: base64url. */
  ticket: string;
  /** Absolute addresses. */
  hls: string;
  link: string | null;
  /** 64 hex digits. */
  originKey: string | null;
  stunPort: number | null;
  p2p: P2p;
  /** Viewers of an edge see each other only when there are so many. */
  viewersMin: number;
}

/** Places that did not hold: with edges that were lost while they served, or had no room. Tickets. */
export interface Past {
  lost?: string[];
  refused?: string[];
}

export interface MeshOptions {
  admission: Admission;
  /** What the viewer, or the app for them, wants; null: nothing was said, and phones then only receive. */
  asked?: P2p | null;
  /** Never give more than this, bit/s. */
  uploadCapBps?: number;
  /** Joins again at the manager, who is told which tickets' edges were lost, or had no room. Without it a lost edge ends
   * the mesh. */
  join?: (past: Past) => Promise<Admission | null>;
  /** The place at the edge is another one now: what is asked over HTTP goes there. */
  moved?: (admission: Admission) => void;
  wasmUrl?: string | URL;
  /** Records what the engine lives through, up to so many bytes, for `tape()`. */
  tapeBytes?: number;
  /** What is watched is no live stream. */
  recording?: boolean;
}

/** What a player finds in the engine. */
export type Found = "elsewhere" | "coming" | "here";

/** A viewer begins this far behind what comes in, the least H and a little: with the key frame before that it can play at
 * once. */
const BEHIND_MS = 1_100;
/** A player's first requests wait so long for the mesh; a WebSocket that takes longer is not waited for. */
const START_PATIENCE_MS = 700;
/** After these the link is tried again; then it stays plain HLS. */
const RETRIES_S = [3, 10, 30, 60, 120];
const RESCUES_KEPT = 8;

export class Mesh implements Host {
  private admission: Admission;
  private decision: Decision;
  private readonly edge: EdgeLink;
  private readonly links: PeerLinks;
  private engine: Engine | null = null;
  private reason: Reason = "starting";
  private readonly begunMs = performance.now();
  private readonly rungs = new Rungs();
  private readonly history = new Map<string, string>();
  private readonly watchers = new Set<() => void>();
  private readonly touched = new Set<number>();
  private readonly rescues: Rescue[] = [];
  private me = 0;
  private changedMs = 0;
  private bufferMs = 0;
  private toldMs = 0;
  private fetchedUntilMs = 0;
  private admittedMs = -Infinity;
  private httpBytes = 0;
  private wastedHttp = 0;
  private retries = 0;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private joining = false;
  private rejoins = 0;
  private over = false;
  private wasmReady = false;
  /** The counts of engines that are over. */
  private past: number[] = [];
  private readonly firstBase: string;
  private readonly stopListening: () => void;

  constructor(private readonly options: MeshOptions) {
    this.admission = options.admission;
    this.firstBase = baseOf(options.admission.hls);
    this.decision = this.decide();
    this.edge = new EdgeLink({
      opened: () => this.onEdgeOpen(),
      message: (bytes) => this.engine?.tell((peer, now) => peer.message(now, 0, bytes)),
      lost: () => this.onEdgeLost(),
    });
    this.links = new PeerLinks(
      {
        opened: (peer) => this.engine?.tell((engine, now) => engine.connected(now, peer)),
        message: (peer, bytes) => this.engine?.tell((engine, now) => engine.message(now, peer, bytes)),
        lost: (peer) => this.engine?.tell((engine, now) => engine.lost(now, peer)),
        unsent: (peer, bytes) => this.engine?.tell((engine, now) => engine.unsent(now, peer, bytes)),
        signal: (peer, step, dial, text) => this.engine?.tell((engine) => engine.signal(peer, step, dial, text)),
      },
      iceServers(this.admission),
    );
    this.stopListening = onLineChange(() => this.onPolicy());
    void this.begin();
  }

  /** Let in once; the edge may be lost since. */
  private get isIn(): boolean {
    return this.engine !== null && this.me !== 0;
  }

  /** Media comes from the mesh now: while the edge is lost, only as long as other viewers bring it. */
  get plays(): boolean {
    return this.isIn && (this.edge.isOpen || this.flows);
  }

  /** Media has come from it just now. */
  get flows(): boolean {
    return this.isIn && performance.now() - this.changedMs < FLOWS_MS;
  }

  get isRecording(): boolean {
    return this.options.recording === true;
  }

  /** Not yet known whether it will. */
  get undecided(): boolean {
    return this.reason === "starting" && performance.now() - this.begunMs < START_PATIENCE_MS;
  }

  /** Another wish of the viewer's. */
  ask(p2p: P2p | null, uploadCapBps?: number): void {
    this.options.asked = p2p;
    if (uploadCapBps !== undefined) this.options.uploadCapBps = uploadCapBps;
    this.onPolicy();
  }

  stats(): MeshStats {
    const counts = this.counts();
    const links = this.links.stats();
    const reason = this.whyNow(links.length);
    return {
      mode: this.plays ? "mesh" : "plain",
      reason,
      why: sentence(reason),
      httpBytes: this.httpBytes,
      ...readCounts(counts, this.wastedHttp),
      lastRescues: [...this.rescues],
      peers: links.length,
      failedLinks: this.links.failures,
      connections: this.links.attempts,
      links,
      alphaBps: this.engine?.ask((peer) => peer.alpha_bps(), 0) ?? 0,
      holdBackMs: this.holdBackMs(),
      me: this.me,
      steady: this.engine?.steady ?? false,
    };
  }

  /** What was recorded, for `trellis sim replay`. */
  tape(): Uint8Array {
    return this.engine?.ask((peer) => peer.tape(), new Uint8Array()) ?? new Uint8Array();
  }

  holdBackMs(): number {
    return this.engine?.ask((peer) => peer.hold_back_ms(), BEHIND_MS) ?? BEHIND_MS;
  }

  /** The viewer goes: says good-bye and closes everything. */
  leave(): void {
    if (this.over) return;
    rememberUplink(this.engine?.ask((peer) => peer.alpha_bps(), 0) ?? 0);
    this.engine?.tell((peer, now) => peer.leave(now));
    this.stop("asked_off");
    this.over = true;
    this.stopListening();
  }

  // --- What the player's loaders ask ---

  /** A multivariant playlist came: the ladder is known, and with it what can be asked of the edge. */
  knowLadder(text: string): void {
    this.rungs.know(text);
  }

  /** The player wants this rendition's playlist, so it will want its media; a recording's playlist it loads but once. */
  wants(rendition: string): void {
    const news = this.rungs.take(rendition);
    if (!this.engine) this.beginEngine();
    else if (news) this.engine.tell((peer, now) => peer.switch(now, this.rungs.wanted()));
  }

  /** A rung the player would like: the cluster is asked for slots. */
  wishes(rendition: string): void {
    if (!this.rungs.wish(rendition, performance.now())) return;
    this.engine?.tell((peer, now) => peer.switch(now, this.rungs.wanted(rendition)));
  }

  /** The rung of pictures that was wished for and is brought from this key frame on. */
  get granted(): string | null {
    return this.rungs.granted;
  }

  /** A playlist as the edge wrote it. */
  keepHistory(rendition: string, text: string): void {
    this.history.set(rendition, text);
  }

  hasHistory(rendition: string): boolean {
    return this.history.has(rendition);
  }

  /** Is a segment listed (no part), or a part of it? null: nothing is listed here, or not that far: ask the edge. */
  lists(msn: number, part: number | null): boolean | null {
    if (!this.plays) return null;
    const answer = this.engine?.ask((peer) => (peer.lists() ? peer.has(msn, part ?? -1) : 2), 2) ?? 2;
    return answer === 2 ? null : answer === 1;
  }

  /** A rendition's playlist: what is listed here, after what the edge told before. null: ask the edge. */
  playlist(rendition: string): string | null {
    if (!this.plays) return null;
    const here = this.engine?.ask((peer) => peer.playlist(rendition), undefined);
    if (here === undefined) return null;
    const windowS = this.engine?.ask((peer) => peer.window_s(), 0) ?? 0;
    return splice(this.history.get(rendition) ?? null, here, windowS);
  }

  find(run: string, rendition: string, kind: string, number: number): Found {
    // The edge has all of a recording: nothing has to be waited for to begin with.
    if (!this.plays) return this.undecided && !this.options.recording ? "coming" : "elsewhere";
    if (this.isNew() && !this.options.recording) return "coming";
    const found = this.engine?.ask((peer) => peer.find(run, rendition, kind, number), 0);
    return found === 2 ? "here" : found === 1 ? "coming" : "elsewhere";
  }

  private readWatched(): void {
    this.rungs.brought = [...(this.engine?.ask((peer) => peer.watches(), new Uint8Array()) ?? [])];
  }

  /** Let in, and not told yet what there is. */
  private isNew(): boolean {
    return performance.now() - this.admittedMs < NEWS_MS && !this.engine?.ask((peer) => peer.knows(), true);
  }

  /** What `find` found, and how long it took to come, ms. */
  take(run: string, kind: string, number: number): { data: ArrayBuffer; ms: number } | null {
    const taken = this.engine?.ask((peer) => ({ bytes: peer.take(), ms: peer.load_ms(run, kind, number) }), null);
    return taken ? { data: taken.bytes.buffer as ArrayBuffer, ms: taken.ms } : null;
  }

  /** Is it the init segment that was signed? undefined: not known. */
  isInit(run: string, rendition: string, data: ArrayBuffer): boolean | undefined {
    return this.engine?.ask((peer) => peer.check_init(run, rendition, new Uint8Array(data)), undefined);
  }

  /** Media came over HTTP and is used; what links brought of it came in vain. */
  tookHttp(bytes: number, media: MediaName | null): void {
    this.httpBytes += bytes;
    if (media && media.kind !== "init") this.engine?.ask((peer) => peer.elsewhere(media.run, media.rendition, media.kind, media.number), undefined);
  }

  /** Media of a recording came over HTTP: others may have it from here. */
  offer({ run, rendition, kind, number }: MediaName, data: ArrayBuffer): void {
    if (!this.options.recording || kind !== "s") return;
    this.engine?.tell((peer, now) => peer.offer(now, run, rendition, number, new Uint8Array(data)));
  }

  /** How long the player can wait for media that is on its way, ms: of a recording as long as its buffer lasts, and then
   * the edge has time to bring it. */
  patienceMs(most: number): number {
    if (!this.options.recording) return most;
    const left = this.bufferMs - (performance.now() - this.toldMs);
    return Math.max(0, Math.min(most, left - EDGE_TIME_MS));
  }

  /** Media came over HTTP and is not what was signed. */
  threwAway(bytes: number): void {
    this.wastedHttp += bytes;
  }

  /** Where something lies now that the player knows by the address of the first edge. What is looked at before the link
   * stands takes no plain player's place there: the edge is told who asks. */
  address(url: string): string {
    const base = baseOf(this.admission.hls);
    const there = base !== this.firstBase && url.startsWith(this.firstBase) ? base + url.slice(this.firstBase.length) : url;
    const looks = (this.isIn || this.undecided) && /\.m3u8(\?|$)|\/init\.mp4$/.test(there);
    return looks ? `${there}${there.includes("?") ? "&" : "?"}engine` : there;
  }

  /** Calls back whenever an answer of the above may be another one; returns how to stop. */
  watch(changed: () => void): () => void {
    this.watchers.add(changed);
    return () => this.watchers.delete(changed);
  }

  /** Where the player is, and how much it has from there on. */
  at(dateMs: number, bufferMs: number, paused: boolean): void {
    [this.bufferMs, this.toldMs] = [bufferMs, performance.now()];
    const fetchedMs = this.fetchedUntilMs - dateMs;
    const ahead = fetchedMs < FETCHED_MS_MAX ? Math.max(bufferMs, fetchedMs) : bufferMs;
    if (this.plays) this.engine?.tell((peer, now) => peer.player(now, dateMs, ahead, paused));
  }

  /** What ends there, ms since 1970, comes from the edge: the engine need not bring it. */
  fetches(untilMs: number): void {
    this.fetchedUntilMs = untilMs;
  }

  /** The player goes elsewhere: it has nothing there. */
  seeks(): void {
    this.bufferMs = 0;
    this.fetchedUntilMs = 0;
  }

  // --- What the engine wants ---

  send(peer: number, bytes: Uint8Array): void {
    if (peer === 0) return this.edge.send(bytes);
    this.links.send(peer, bytes);
    this.touched.add(peer);
  }

  settled(): void {
    const touched = [...this.touched];
    this.touched.clear();
    for (const peer of touched) this.links.sent(peer);
  }

  connect(peer: number): void {
    if (peer === 0) void this.rejoin();
    else this.links.connect(peer);
  }

  disconnect(peer: number): void {
    if (peer === 0) this.edge.close();
    else this.links.disconnect(peer);
  }

  signalled(peer: number, step: number, dial: number, text: string): void {
    this.links.signalled(peer, step, dial, text);
  }

  admitted(me: number): void {
    this.me = me;
    this.admittedMs = performance.now();
    this.reason = "on";
    this.rejoins = 0;
    this.readWatched();
    this.retries = 0;
    this.changed();
  }

  switched(): void {
    this.readWatched();
    this.changed();
  }

  rescued(part: number, by: number): void {
    this.rescues.push({ part, by, atMs: performance.now() });
    if (this.rescues.length > RESCUES_KEPT) this.rescues.shift();
  }

  cutOff(peer: number): void {
    this.links.disconnect(peer);
  }

  closed(code: number, retryS: number): void {
    this.stop(ofBye(code));
    if (this.reason !== "ended" && this.reason !== "ticket") this.tryLater(retryS > 0 ? retryS : undefined, this.reason === "no_room");
  }

  changed(): void {
    this.changedMs = performance.now();
    for (const watcher of [...this.watchers]) watcher();
  }

  nextLookMs(): number {
    return this.links.nextLookMs();
  }

  look(): void {
    this.links.look();
  }

  failed(): void {
    this.stop("engine_failed");
  }

  // --- Coming in, staying in ---

  private async begin(): Promise<void> {
    const impossible = this.impossible();
    if (impossible) return this.stop(impossible);
    if (this.admission.link) this.edge.open(this.admission.link);
    this.wasmReady = await loadEngine(this.options.wasmUrl);
    if (this.over || this.reason !== "starting") return;
    if (!this.wasmReady) return this.stop("no_wasm");
    this.beginEngine();
  }

  private impossible(): Reason | null {
    const { p2p, why } = this.decision;
    if (p2p === "off") return why === "operator" ? "operator_off" : why === "save_data" ? "save_data" : "asked_off";
    if (!this.admission.link || !this.admission.originKey) return "no_link_offered";
    return canLink() ? null : "no_webrtc";
  }

  /** Everything that is needed to greet the edge is there, or this does nothing. */
  private beginEngine(): void {
    const wanted = this.rungs.wanted();
    if (this.engine || !this.wasmReady || wanted === "" || this.over || this.reason !== "starting") return;
    const peer = this.makeEngine(wanted);
    if (!peer) return this.stop("engine_failed");
    this.engine = new Engine(peer, this);
    if (this.edge.isOpen) this.engine.tell((engine, now) => engine.connected(now, 0));
  }

  /** null: what the join told is no good. */
  private makeEngine(wanted: string): PeerEngine | null {
    const { stream, ticket, originKey } = this.admission;
    try {
      const options = new Options(stream, bytesOf64(ticket), bytesOfHex(originKey ?? ""));
      options.watch(wanted, this.rungs.videos);
      options.give(this.options.uploadCapBps ?? 0, this.decision.p2p !== "on", rememberedUplink());
      options.record(this.options.tapeBytes ?? 0);
      if (this.options.recording) options.of_recording();
      const seed = crypto.getRandomValues(new Uint32Array(2));
      options.begin(BEHIND_MS, seed[0] ?? 0, seed[1] ?? 0);
      const peer = PeerEngine.start(options, performance.now() * 1000) ?? null;
      options.free();
      return peer;
    } catch {
      return null;
    }
  }

  private onEdgeOpen(): void {
    this.engine?.tell((peer, now) => peer.connected(now, 0));
  }

  private onEdgeLost(): void {
    if (this.isIn) return this.engine?.tell((peer, now) => peer.lost(now, 0));
    if (this.over) return;
    this.stop("link_refused");
    this.tryLater();
  }

  /** The engine has lost its edge. The link may have broken alone, so that edge is asked again, unless it has just sent us
   * away; then the manager, and so on in turns: the edge may be the only one, and come back. */
  private async rejoin(): Promise<void> {
    if (this.joining || this.edge.isOpening) return;
    const sentAway = this.edge.isOpen || this.edge.saidGoodbye;
    this.edge.close();
    this.joining = true;
    try {
      this.rejoins += 1;
      if (!sentAway && this.rejoins % 2 === 1 && (await this.reopen())) return;
      const admission = await this.joinAgain({ lost: [this.admission.ticket] });
      if (this.over || !admission?.link) return;
      this.move(admission);
      const impossible = this.impossible();
      if (impossible) return this.stop(impossible);
      this.engine?.tell((peer, now) => peer.renew(now, bytesOf64(admission.ticket)));
      this.engine?.tell((peer, now) => peer.upload(now, this.options.uploadCapBps ?? 0, this.decision.p2p !== "on"));
      this.edge.open(admission.link);
    } finally {
      this.joining = false;
    }
  }

  /** True: the link stands again, or the attempt is no longer wanted. */
  private async reopen(): Promise<boolean> {
    const { link } = this.admission;
    if (!link) return false;
    this.edge.open(link);
    for (let waited = 0; waited < REOPEN_MS && this.edge.isOpening; waited += 50) await sleep(50);
    if (this.edge.isOpening) this.edge.close();
    return this.over || this.edge.isOpen;
  }

  private async joinAgain(past: Past): Promise<Admission | null> {
    try {
      return (await this.options.join?.(past)) ?? null;
    } catch {
      return null;
    }
  }

  private move(admission: Admission): void {
    this.admission = admission;
    // The operator may have changed its mind.
    this.decision = this.decide();
    this.links.iceServers = iceServers(admission);
    this.options.moved?.(admission);
  }

  /** No mesh, for this reason; what came so far stays counted. */
  private stop(reason: Reason): void {
    clearTimeout(this.retryTimer);
    this.reason = reason;
    this.past = this.counts();
    this.me = 0;
    const { engine } = this;
    this.engine = null;
    engine?.end();
    this.links.end();
    this.edge.close();
    this.changed();
  }

  private tryLater(afterS: number | undefined = RETRIES_S[this.retries], elsewhere = false): void {
    if (afterS === undefined || this.over || this.retries >= RETRIES_S.length) return;
    this.retries += 1;
    clearTimeout(this.retryTimer);
    // A crowd that was refused together does not come back together.
    this.retryTimer = setTimeout(() => void this.tryAgain(elsewhere), afterS * 1000 * (1 + Math.random() / 4));
  }

  private async tryAgain(elsewhere: boolean): Promise<void> {
    if (this.over || this.engine || this.impossible()) return;
    if (elsewhere) {
      const admission = await this.joinAgain({ refused: [this.admission.ticket] });
      if (this.over || this.engine) return;
      if (admission?.link) this.move(admission);
    }
    this.reason = "starting";
    await this.begin();
  }

  private onPolicy(): void {
    if (this.over) return;
    const before = this.decision.p2p;
    this.decision = this.decide();
    const { p2p } = this.decision;
    if (p2p === "off") {
      if (before !== "off") this.engine?.tell((peer, now) => peer.leave(now));
      return this.stop(this.impossible() ?? "asked_off");
    }
    if (before === "off") {
      this.reason = "starting";
      return void this.begin();
    }
    this.engine?.tell((peer, now) => peer.upload(now, this.options.uploadCapBps ?? 0, p2p !== "on"));
  }

  private decide(): Decision {
    return decide(circumstances(this.options.asked ?? null, this.admission.p2p));
  }

  private counts(): number[] {
    const now = this.engine?.ask((peer) => [...peer.counts()], []) ?? [];
    return Array.from({ length: COUNTS }, (_, at) => (this.past[at] ?? 0) + (now[at] ?? 0));
  }

  private whyNow(links: number): Reason {
    if (this.reason !== "on") return this.reason;
    if (!this.edge.isOpen) return "link_lost";
    if (this.decision.p2p === "receive-only") return this.decision.why === "operator" ? "operator_receives" : "receive_only";
    if (links > 0) return "on";
    return this.links.attempts === 0 ? (this.admission.viewersMin > 1 ? "few" : "alone") : this.links.failures > 0 ? "no_links" : "linking";
  }
}

const COUNTS = 12;
const REOPEN_MS = 2_000;
/** A player that has no more than this in its buffer takes a recording's next segment from the edge. */
const EDGE_TIME_MS = 3_000;
/** Nobody fetches farther ahead: it was before a seek. */
const FETCHED_MS_MAX = 30_000;
/** What there is comes right after the welcome. */
const NEWS_MS = 300;
/** Some part times. */
const FLOWS_MS = 2_500;

/** …/v/{ticket}/s/{stream}/ */
const baseOf = (hls: string): string => hls.slice(0, hls.lastIndexOf("/") + 1);

function iceServers({ link, stunPort }: Admission): RTCIceServer[] {
  return link && stunPort ? [{ urls: `stun:${new URL(link).hostname}:${stunPort}` }] : [];
}

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));
