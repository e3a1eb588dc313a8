// When does a page play from the mesh, and what does it tell the manager when it does not? The hallway around an engine that
// does as the test says.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Mesh, type Admission, type Past } from "../sdk/src/mesh";

interface Action {
  kind: number;
  peer?: number;
  code?: number;
  number?: number;
}

const [CONNECT, ADMITTED, CLOSED] = [2, 5, 9];
const engine = vi.hoisted(() => ({ actions: [] as Action[], told: [] as string[], version: 0 }));

vi.mock("../sdk/src/wasm", () => {
  class PeerEngine {
    static start = () => new PeerEngine();
    private action: Action | undefined;
    poll = () => ((this.action = engine.actions.shift()), this.action?.kind ?? 0);
    peer = () => this.action?.peer ?? 0;
    code = () => this.action?.code ?? 0;
    number = () => this.action?.number ?? 0;
    version = () => engine.version;
    wake_at = () => Infinity;
    connected = (_: number, peer: number) => void engine.told.push(`connected ${peer}`);
    lost = (_: number, peer: number) => void engine.told.push(`lost ${peer}`);
    upload = (_: number, _cap: number, receives: boolean) => void engine.told.push(receives ? "receive" : "give");
    message = () => undefined;
    player = () => undefined;
    renew = () => undefined;
    leave = () => undefined;
    free = () => undefined;
    elsewhere = (...what: unknown[]) => void engine.told.push(`elsewhere ${what.join(" ")}`);
    knows = () => true;
    lists = () => true;
    has = () => 1;
    find = () => 2;
    playlist = () => "#EXTM3U\n";
    window_s = () => 0;
    watches = () => new Uint8Array();
    counts = () => [];
    alpha_bps = () => 0;
    hold_back_ms = () => 500;
  }
  class Options {
    watch = () => undefined;
    give = () => undefined;
    record = () => undefined;
    begin = () => undefined;
    free = () => undefined;
  }
  return { loadEngine: () => Promise.resolve(true), Options, PeerEngine };
});

class Socket {
  static readonly [name: string]: unknown;
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static all: Socket[] = [];
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "";
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((event: { wasClean: boolean }) => void) | null = null;
  constructor(readonly url: string) {
    Socket.all.push(this);
  }
  send(): void {}
  close(): void {
    this.readyState = 3;
  }
  opens(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  breaks(wasClean: boolean): void {
    this.readyState = 3;
    this.onclose?.({ wasClean });
  }
  /** Something comes, and the engine wants this done. */
  brings(...actions: Action[]): void {
    engine.actions.push(...actions);
    this.onmessage?.({ data: new ArrayBuffer(1) });
  }
}

const admission: Admission = {
  stream: "demo", ticket: "AQ", hls: "http://edge/v/AQ/s/demo/index.m3u8", link: "http://edge/v/AQ/s/demo/link",
  originKey: "ab".repeat(32), stunPort: null, p2p: "on", viewersMin: 0,
};
const RUN = "00000000000000aa";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("navigator", { userAgent: "" });
  vi.stubGlobal("WebSocket", Socket);
  vi.stubGlobal("RTCPeerConnection", function none() {});
  Object.assign(engine, { actions: [], told: [], version: 0 });
  Socket.all = [];
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const newest = () => Socket.all.at(-1)!;

/** A mesh whose edge has its greeting. */
async function begun(now: Admission = admission) {
  const asked: Past[] = [];
  const answer = { admission: now };
  const mesh = new Mesh({ admission: now, asked: "on", join: (past) => (asked.push(past), Promise.resolve(answer.admission)) });
  mesh.wants("v0");
  await vi.advanceTimersByTimeAsync(0);
  newest().opens();
  return { mesh, asked, answer };
}

async function admitted(now: Admission = admission) {
  const all = await begun(now);
  newest().brings({ kind: ADMITTED, peer: 7 });
  expect([all.mesh.plays, all.mesh.stats().me]).toEqual([true, 7]);
  return all;
}

it("plays on what other viewers bring while its link is down, and plain HLS when they bring nothing", async () => {
  const { mesh } = await admitted();
  newest().breaks(false);
  expect([engine.told.at(-1), mesh.plays, mesh.stats().reason]).toEqual(["lost 0", true, "link_lost"]);
  await vi.advanceTimersByTimeAsync(2_400);
  engine.version += 1;
  mesh.at(0, 0, false);
  await vi.advanceTimersByTimeAsync(2_400);
  expect([mesh.plays, mesh.find(RUN, "v0", "p", 1)]).toEqual([true, "here"]);
  await vi.advanceTimersByTimeAsync(200);
  expect([mesh.plays, mesh.find(RUN, "v0", "p", 1), mesh.playlist("v0"), mesh.lists(1, 0), mesh.stats().mode]).toEqual([
    false, "elsewhere", null, null, "plain",
  ]);
  // The link alone may have broken: it is tried again before anybody is asked.
  engine.actions.push({ kind: CONNECT, peer: 0 });
  mesh.ask("on");
  newest().opens();
  await vi.advanceTimersByTimeAsync(100);
  expect([Socket.all.length, mesh.plays, mesh.stats().mode]).toEqual([2, true, "mesh"]);
});

it("says which edge was lost, and which had no room", async () => {
  const lost = await admitted();
  newest().brings({ kind: CONNECT, peer: 0 });
  newest().breaks(true);
  await vi.advanceTimersByTimeAsync(100);
  expect(lost.asked).toEqual([{ lost: ["AQ"] }]);
  const refused = await begun();
  newest().brings({ kind: CLOSED, code: 3, number: 2 });
  expect(refused.mesh.stats().reason).toBe("no_room");
  await vi.advanceTimersByTimeAsync(1_900);
  expect(refused.asked).toEqual([]);
  await vi.advanceTimersByTimeAsync(700);
  expect(refused.asked).toEqual([{ refused: ["AQ"] }]);
});

it("does as the operator says, and says so", async () => {
  const { mesh, answer } = await admitted({ ...admission, viewersMin: 3 });
  expect(mesh.stats().reason).toBe("few");
  const again = async (p2p: Admission["p2p"]) => {
    answer.admission = { ...admission, p2p };
    newest().brings({ kind: CONNECT, peer: 0 });
    await vi.advanceTimersByTimeAsync(100);
  };
  await again("receive-only");
  newest().opens();
  expect([mesh.stats().reason, engine.told.includes("receive")]).toEqual(["operator_receives", true]);
  await again("off");
  expect([mesh.stats().reason, mesh.plays]).toEqual(["operator_off", false]);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(mesh.stats().reason).toBe("operator_off");
});

it("tells the engine what came over HTTP after all", async () => {
  const { mesh } = await admitted();
  mesh.tookHttp(100, { run: RUN, rendition: "v0", kind: "p", number: 9 });
  mesh.tookHttp(10, { run: RUN, rendition: "v0", kind: "init", number: 0 });
  mesh.threwAway(5);
  expect([mesh.stats().httpBytes, mesh.stats().wastedBytes]).toEqual([110, 5]);
  expect(engine.told.filter((said) => said.startsWith("elsewhere"))).toEqual([`elsewhere ${RUN} v0 p 9`]);
});
