// When is it time? Hidden tabs get timers once a second and later once a minute, and a viewer in another tab goes on
// serving others: so the alarm rings in a worker, made of a Blob so that it needs no file. Where pages forbid that
// (Content-Security-Policy without `worker-src blob:`) the page's own timers have to do.
// One alarm at a time: setting it again moves it.

const WORKER = "let t;onmessage=(e)=>{clearTimeout(t);if(e.data>=0)t=setTimeout(()=>postMessage(0),e.data)}";

export class Alarm {
  private worker: Worker | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** performance.now() at which it is set to ring. */
  private at = Infinity;

  constructor(private readonly ring: () => void) {
    this.worker = this.makeWorker();
  }

  /** Does it ring in hidden tabs, too? */
  get steady(): boolean {
    return this.worker !== null;
  }

  /** Rings at `atMs` of performance.now(); Infinity: not at all. */
  set(atMs: number): void {
    // Engines move it by microseconds all the time: a message for each would cost more than the alarm.
    if (Math.abs(atMs - this.at) < 1 || (atMs === Infinity && this.at === Infinity)) return;
    this.at = atMs;
    const inMs = atMs === Infinity ? -1 : Math.max(0, Math.ceil(atMs - performance.now()));
    if (this.worker) return this.worker.postMessage(inMs);
    clearTimeout(this.timer);
    if (inMs >= 0) this.timer = setTimeout(() => this.rang(), inMs);
  }

  end(): void {
    this.worker?.terminate();
    this.worker = null;
    clearTimeout(this.timer);
    this.at = Infinity;
  }

  private rang(): void {
    this.at = Infinity;
    this.ring();
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
    const at = this.at;
    this.at = Infinity;
    this.set(at);
  }
}
