// How do two viewers come to talk, and how are frames carried between them? One RTCPeerConnection and one data channel
// per neighbor; offers and answers go by way of the edge (`spec/wire.md` §11.5). Who calls is decided elsewhere.
// Invariant: of every peer there is at most one attempt or link; what ends it tells the engine exactly once.

export interface PeerEvents {
  opened(peer: number): void;
  message(peer: number, bytes: Uint8Array): void;
  /** The link is gone, or could not be made. */
  lost(peer: number): void;
  /** So many bytes wait on this link. */
  unsent(peer: number, bytes: number): void;
  signal(peer: number, step: number, dial: number, text: string): void;
}

interface Link {
  peer: number;
  dial: number;
  connection: RTCPeerConnection;
  channel: RTCDataChannel;
  patience: ReturnType<typeof setTimeout> | undefined;
  /** Candidates that came before the description they belong to; null once that is set. */
  early: RTCIceCandidateInit[] | null;
  open: boolean;
  madeMs: number;
  /** What was told of bufferedAmount last, and when. */
  told: number;
  toldMs: number;
  givenBytes: number;
  takenBytes: number;
}

export interface LinkStats {
  peer: number;
  givenBytes: number;
  takenBytes: number;
}

const [OFFER, ANSWER, CANDIDATE, HANGUP] = [1, 2, 3, 4];
/** An attempt that has not led to an open channel after this is over. */
const ATTEMPT_MS = 3_000;
/** As many as the core has of them. */
const LINKS_MAX = 200;
/** Chromium gives a tab 500, closed ones included until they are collected, which takes so long at most. */
const CONNECTIONS_MAX = 480;
const COLLECTED_MS = 30_000;
/** Nobody has reason to call again sooner: who does would have us make connections without end. */
const REDIAL_MS = 1_000;
/** How often a link that has something waiting is looked at. */
const LOOK_MS = 15;
/** Told at once when so little is left: the next chunk may go. */
const LOW_BYTES = 16 * 1024;
/** Candidates of one attempt that are kept until they can be used. */
const EARLY_MAX = 64;

let made = 0;

export const canLink = (): boolean => typeof RTCPeerConnection === "function";

export class PeerLinks {
  private readonly links = new Map<number, Link>();
  private dials = 0;
  /** Attempts there were, and those that came to nothing. */
  attempts = 0;
  failures = 0;

  constructor(private readonly events: PeerEvents, public iceServers: RTCIceServer[]) {}

  /** Links that stand. */
  stats(): LinkStats[] {
    return [...this.links.values()]
      .filter((link) => link.open)
      .map(({ peer, givenBytes, takenBytes }) => ({ peer, givenBytes, takenBytes }));
  }

  get count(): number {
    let open = 0;
    for (const link of this.links.values()) if (link.open) open += 1;
    return open;
  }

  /** Calls a peer. */
  connect(peer: number): void {
    if (this.links.has(peer)) return;
    const link = this.make(peer, (this.dials += 1));
    if (link) void this.call(link);
  }

  signalled(peer: number, step: number, dial: number, text: string): void {
    const link = this.links.get(peer);
    if (step === OFFER) return void this.answer(peer, dial, text);
    if (!link || link.dial !== dial) return;
    if (step === ANSWER) void this.describe(link, { type: "answer", sdp: text });
    else if (step === CANDIDATE) void this.addCandidate(link, text);
    else if (step === HANGUP && !link.open) this.drop(link);
  }

  send(peer: number, bytes: Uint8Array): void {
    const link = this.links.get(peer);
    if (!link?.open) return;
    try {
      link.channel.send(bytes as Uint8Array<ArrayBuffer>);
      link.givenBytes += bytes.byteLength;
    } catch {
      // Closing, or its queue is full: both are the end of it.
      this.drop(link);
    }
  }

  /** Ends a link the engine wants ended: it is not told. */
  disconnect(peer: number): void {
    const link = this.links.get(peer);
    if (link) this.close(link);
  }

  end(): void {
    for (const link of [...this.links.values()]) this.close(link);
  }

  /** performance.now() at which links have to be looked at, or Infinity. */
  nextLookMs(): number {
    let next = Infinity;
    for (const link of this.links.values()) {
      if (link.open && (link.told > 0 || link.channel.bufferedAmount > 0)) next = Math.min(next, link.toldMs + LOOK_MS);
    }
    return next;
  }

  /** Tells what waits where that has changed. */
  look(): void {
    const now = performance.now();
    for (const link of this.links.values()) {
      if (link.open && now - link.toldMs >= LOOK_MS - 1) this.tellUnsent(link, now);
    }
  }

  private tellUnsent(link: Link, now: number): void {
    const waiting = link.channel.bufferedAmount;
    if (waiting === 0 && link.told === 0) return;
    link.told = waiting;
    link.toldMs = now;
    this.events.unsent(link.peer, waiting);
  }

  /** Right after a batch of sends: the engine counts what it handed over as waiting until told otherwise. */
  sent(peer: number): void {
    const link = this.links.get(peer);
    if (!link?.open) return;
    link.told = link.channel.bufferedAmount;
    link.toldMs = performance.now();
    this.events.unsent(peer, link.told);
  }

  private make(peer: number, dial: number): Link | null {
    if (this.links.size >= LINKS_MAX || made >= CONNECTIONS_MAX || !canLink()) {
      queueMicrotask(() => this.events.lost(peer));
      return null;
    }
    this.attempts += 1;
    let connection: RTCPeerConnection;
    let channel: RTCDataChannel;
    try {
      connection = new RTCPeerConnection({ iceServers: this.iceServers });
      channel = connection.createDataChannel("trellis", { negotiated: true, id: 0, ordered: false });
    } catch {
      // The app has used up what there is, or a policy forbids it.
      this.failures += 1;
      queueMicrotask(() => this.events.lost(peer));
      return null;
    }
    made += 1;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = LOW_BYTES;
    const link: Link = {
      peer, dial, connection, channel, patience: undefined, early: [], open: false, madeMs: performance.now(),
      told: 0, toldMs: 0, givenBytes: 0, takenBytes: 0,
    };
    link.patience = setTimeout(() => this.giveUp(link), ATTEMPT_MS);
    this.listen(link);
    this.links.set(peer, link);
    return link;
  }

  private listen(link: Link): void {
    const { connection, channel, peer } = link;
    connection.onicecandidate = ({ candidate }) => {
      const text = candidate?.candidate ?? "";
      // Over TCP a browser only calls, and so does the one at the other end. That no more come need not be said.
      if (text === "" || / tcp /i.test(text)) return;
      if (this.links.get(peer) === link) this.events.signal(peer, CANDIDATE, link.dial, text);
    };
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "failed") this.giveUp(link);
    };
    channel.onopen = () => {
      if (this.links.get(peer) !== link) return;
      clearTimeout(link.patience);
      link.open = true;
      this.events.opened(peer);
    };
    channel.onmessage = ({ data }) => {
      if (this.links.get(peer) !== link || !(data instanceof ArrayBuffer)) return;
      link.takenBytes += data.byteLength;
      this.events.message(peer, new Uint8Array(data));
    };
    channel.onbufferedamountlow = () => {
      if (this.links.get(peer) === link) this.tellUnsent(link, performance.now());
    };
    channel.onclose = () => this.drop(link);
  }

  private async call(link: Link): Promise<void> {
    try {
      const offer = await link.connection.createOffer();
      await link.connection.setLocalDescription(offer);
      if (this.links.get(link.peer) === link) this.events.signal(link.peer, OFFER, link.dial, offer.sdp ?? "");
    } catch {
      this.giveUp(link);
    }
  }

  private async answer(peer: number, dial: number, sdp: string): Promise<void> {
    const before = this.links.get(peer);
    if (before && performance.now() - before.madeMs < REDIAL_MS) return;
    if (before) {
      const stood = before.open;
      this.close(before);
      // The engine believes in a link that the other end has begun anew.
      if (stood) this.events.lost(peer);
    }
    const link = this.make(peer, dial);
    if (!link) return;
    try {
      if (!(await this.describe(link, { type: "offer", sdp }))) return;
      const answer = await link.connection.createAnswer();
      await link.connection.setLocalDescription(answer);
      if (this.links.get(peer) === link) this.events.signal(peer, ANSWER, dial, answer.sdp ?? "");
    } catch {
      this.giveUp(link);
    }
  }

  private async describe(link: Link, description: RTCSessionDescriptionInit): Promise<boolean> {
    try {
      await link.connection.setRemoteDescription(description);
      const early = link.early ?? [];
      link.early = null;
      for (const candidate of early) await this.tryCandidate(link, candidate);
      return this.links.get(link.peer) === link;
    } catch {
      this.giveUp(link);
      return false;
    }
  }

  private async addCandidate(link: Link, text: string): Promise<void> {
    // An empty one says that no more come; connections do without being told.
    if (text === "") return;
    const candidate = { candidate: text, sdpMid: "0", sdpMLineIndex: 0 };
    if (!link.early) return this.tryCandidate(link, candidate);
    if (link.early.length < EARLY_MAX) link.early.push(candidate);
  }

  private async tryCandidate(link: Link, candidate: RTCIceCandidateInit): Promise<void> {
    try {
      await link.connection.addIceCandidate(candidate);
    } catch {
      // One that this browser cannot read is one way less.
    }
  }

  /** The attempt, or the link, came to nothing. */
  private giveUp(link: Link): void {
    if (this.links.get(link.peer) !== link) return;
    if (!link.open) this.events.signal(link.peer, HANGUP, link.dial, "");
    this.drop(link);
  }

  private drop(link: Link): void {
    if (this.links.get(link.peer) !== link) return;
    if (!link.open) this.failures += 1;
    this.close(link);
    this.events.lost(link.peer);
  }

  private close(link: Link): void {
    clearTimeout(link.patience);
    if (this.links.get(link.peer) === link) this.links.delete(link.peer);
    link.channel.close();
    link.connection.close();
    setTimeout(() => (made -= 1), COLLECTED_MS);
  }
}
