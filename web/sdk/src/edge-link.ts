// How does a viewer speak with its edge? One WebSocket, a frame a message. Opened before anything is to be said, so that
// the handshake costs no time of the start.
// Invariant: exactly one of `opened` and `lost` follows an `open`, and at most one `lost` an `opened`.

export interface EdgeEvents {
  opened(): void;
  message(bytes: Uint8Array): void;
  /** The link is gone, or never was. */
  lost(): void;
}

/** A handshake that takes longer is taken for refused: firewalls that drop are not waited for. */
const OPEN_MS = 8_000;

export class EdgeLink {
  private socket: WebSocket | null = null;
  private patience: ReturnType<typeof setTimeout> | undefined;
  private goodbye = false;

  constructor(private readonly events: EdgeEvents) {}

  get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Did the edge itself end the last link, in good order? */
  get saidGoodbye(): boolean {
    return this.goodbye;
  }

  get isOpening(): boolean {
    return this.socket?.readyState === WebSocket.CONNECTING;
  }

  /** `link` as the join names it: http(s); the scheme is exchanged. */
  open(link: string): void {
    this.close();
    this.goodbye = false;
    let socket: WebSocket;
    try {
      socket = new WebSocket(link.replace(/^http/, "ws"));
    } catch {
      // A page on https may not open ws:, and a policy may forbid the address.
      queueMicrotask(() => this.events.lost());
      return;
    }
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.patience = setTimeout(() => this.gone(socket), OPEN_MS);
    socket.onopen = () => {
      clearTimeout(this.patience);
      if (this.socket === socket) this.events.opened();
    };
    socket.onmessage = ({ data }) => {
      if (this.socket === socket && data instanceof ArrayBuffer) this.events.message(new Uint8Array(data));
    };
    socket.onclose = ({ wasClean }) => {
      if (this.socket === socket) this.goodbye = wasClean;
      this.gone(socket);
    };
  }

  send(bytes: Uint8Array): void {
    if (this.isOpen) this.socket?.send(bytes as Uint8Array<ArrayBuffer>);
  }

  /** Bytes that were handed over and have not left. */
  unsent(): number {
    return this.socket?.bufferedAmount ?? 0;
  }

  /** What was sent still goes out; nothing more is heard. */
  close(): void {
    clearTimeout(this.patience);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private gone(socket: WebSocket): void {
    if (this.socket !== socket) return;
    this.close();
    this.events.lost();
  }
}
