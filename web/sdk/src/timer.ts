// When is it time? Hidden tabs get timers once a second and later once a minute, and a viewer in another tab goes on
// serving others: so there the alarm rings in a worker, made of a Blob so that it needs no file. Where pages forbid that
// (Content-Security-Policy without `worker-src blob:`) the page's own timers have to do; in a tab that is seen they do, for less.
// One alarm at a time. Set to a later time it rings at the earlier one first, and is set again then: an engine moves it with
// every message, and a message to the worker for each would cost more than an alarm too many.

const WORKER = "let t;onmessage=(e)=>{clearTimeout(t);t=setTimeout(()=>postMessage(0),e.data)}";

/** A worker takes some milliseconds of the page to begin, which are none of a start's. */
const WORKER_AFTER_MS = 3_000;

export class Alarm {
  /** undefined: there was no need of one yet. */
  private worker: Worker | null | undefined;
  private readonly soon: ReturnType<typeof setTimeout>;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** performance.now() at which it is set to ring. */
  private at = Infinity;

  constructor(private readonly ring: () => void) {
    this.soon = setTimeout(() => this.needWorker(), WORKER_AFTER_MS);
    globalThis.document?.addEventListener("visibilitychange", this.onVisibility);
  }

  /** Does it ring in hidden tabs, too, for all that is known? */
  get steady(): boolean {
    return this.worker !== null;
  }

  /** Rings at `atMs` of performance.now() at the latest; Infinity: need not. */
  set(atMs: number): void {
    if (atMs === Infinity || atMs >= this.at - 1) return;
    this.at = atMs;
    this.arm();
  }

  end(): void {
    clearTimeout(this.soon);
    this.worker?.terminate();
    this.worker = null;
    clearTimeout(this.timer);
    globalThis.document?.removeEventListener("visibilitychange", this.onVisibility);
    this.at = Infinity;
  }

  /** Hidden just now: what the page's own timer was to do is the worker's. The other way round it may ring early. */
  private readonly onVisibility = (): void => {
    if (this.at !== Infinity) this.arm();
  };

  private arm(): void {
    const inMs = Math.max(0, Math.ceil(this.at - performance.now()));
    clearTimeout(this.timer);
    const worker = globalThis.document?.hidden ? this.needWorker() : null;
    if (worker) worker.postMessage(inMs);
    else this.timer = setTimeout(() => this.rang(), inMs);
  }

  private rang(): void {
    this.at = Infinity;
    this.ring();
  }

  private needWorker(): Worker | null {
    return (this.worker ??= this.worker === undefined ? this.makeWorker() : null);
  }

  private makeWorker(): Worker | null {
    try {
      const url = URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" }));
      const worker = new Worker(url);
      URL.revokeObjectURL(url);
      worker.onmessage = () => this.rang();
      worker.onerror = () => this.goOnWithout();
      return worker;
    } catch {
      return null;
    }
  }

  private goOnWithout(): void {
    this.worker?.terminate();
    this.worker = null;
    if (this.at !== Infinity) this.arm();
  }
}
