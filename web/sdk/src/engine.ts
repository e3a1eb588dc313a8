// How is the engine run? Every input is followed by taking all it wants done; its alarm wakes it. It decides, this file
// carries. A fault of its own (a WebAssembly trap) ends it and nothing else: the player goes on without.
import { Alarm } from "./timer";
import type { PeerEngine } from "./wasm";

/** What the engine wants done. Peer 0 is the edge. */
export interface Host {
  send(peer: number, bytes: Uint8Array): void;
  connect(peer: number): void;
  disconnect(peer: number): void;
  signalled(peer: number, step: number, dial: number, text: string): void;
  admitted(me: number): void;
  switched(): void;
  rescued(part: number, by: number): void;
  cutOff(peer: number): void;
  closed(code: number, retryS: number): void;
  /** Something new can be listed or played. */
  changed(): void;
  /** All that followed from an input is done. */
  settled(): void;
  /** performance.now() at which links are to be looked at for what they have sent; Infinity: not at all. */
  nextLookMs(): number;
  look(): void;
  failed(error: unknown): void;
}

const [SEND, CONNECT, DISCONNECT, SIGNAL, ADMITTED, SWITCHED, RESCUE, CUT_OFF, CLOSED] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

export class Engine {
  private readonly alarm: Alarm;
  private version = 0;
  private running = false;
  private over = false;

  constructor(private readonly peer: PeerEngine, private readonly host: Host) {
    this.alarm = new Alarm(() => this.onAlarm());
  }

  /** Does it run in hidden tabs as well? */
  get steady(): boolean {
    return this.alarm.steady;
  }

  get isOver(): boolean {
    return this.over;
  }

  /** One input, and all that follows from it. */
  tell(input: (peer: PeerEngine, nowUs: number) => void): void {
    if (this.over) return;
    try {
      input(this.peer, performance.now() * 1000);
      if (!this.running) this.run();
    } catch (error) {
      this.fail(error);
    }
  }

  /** A question; `otherwise` when the engine is over. */
  ask<T>(question: (peer: PeerEngine) => T, otherwise: T): T {
    if (this.over) return otherwise;
    try {
      return question(this.peer);
    } catch (error) {
      this.fail(error);
      return otherwise;
    }
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    this.alarm.end();
    // Freed later: this may be called from within one of its own calls.
    setTimeout(() => this.free(), 0);
  }

  private free(): void {
    try {
      this.peer.free();
    } catch {
      // It trapped before: its memory goes with the page.
    }
  }

  private fail(error: unknown): void {
    if (this.over) return;
    this.end();
    this.host.failed(error);
  }

  private onAlarm(): void {
    this.host.look();
    this.tell((peer, nowUs) => peer.wake(nowUs));
  }

  private run(): void {
    this.running = true;
    try {
      for (let kind = this.peer.poll(); kind !== 0 && !this.over; kind = this.peer.poll()) this.carryOut(kind);
    } finally {
      this.running = false;
    }
    if (this.over) return;
    this.host.settled();
    if (this.over) return;
    const version = this.peer.version();
    if (version !== this.version) {
      this.version = version;
      this.host.changed();
    }
    if (!this.over) this.alarm.set(Math.min(this.peer.wake_at() / 1000, this.host.nextLookMs()));
  }

  private carryOut(kind: number): void {
    const { peer, host } = this;
    switch (kind) {
      case SEND:
        return host.send(peer.peer(), peer.bytes());
      case CONNECT:
        return host.connect(peer.peer());
      case DISCONNECT:
        return host.disconnect(peer.peer());
      case SIGNAL:
        return host.signalled(peer.peer(), peer.code(), peer.number(), peer.text());
      case ADMITTED:
        return host.admitted(peer.peer());
      case SWITCHED:
        return host.switched();
      case RESCUE:
        return host.rescued(peer.number(), peer.peer());
      case CUT_OFF:
        return host.cutOff(peer.peer());
      case CLOSED:
        return host.closed(peer.code(), peer.number());
    }
  }
}
