// The mesh's pure parts, and the loaders of hls.js with a mesh that is played by the test.
import type { FragmentLoaderContext, HlsConfig, LoaderCallbacks, LoaderStats } from "hls.js";
import { describe, expect, it, vi } from "vitest";
import { readAdmission } from "../sdk/src/admission";
import { hlsConfig } from "../sdk/src/hls";
import { mediaOf, renditionOf } from "../sdk/src/urls";
import type { Mesh } from "../sdk/src/mesh";
import { ladder, splice } from "../sdk/src/playlist";
import { pace } from "../sdk/src/pace";
import { Alarm } from "../sdk/src/timer";
import { decide, readP2p, type Circumstances } from "../sdk/src/policy";
import { ofBye, sentence } from "../sdk/src/reasons";

const RUN = "00000000000000aa";

/** A playlist as the server writes it: whole segments, and parts of an open one. */
function playlist(first: number, count: number, open: number, run = RUN, turn = 3): string {
  const lines = ["#EXTM3U", "#EXT-X-VERSION:9", "#EXT-X-TARGETDURATION:2", `#EXT-X-MEDIA-SEQUENCE:${first}`, `#EXT-X-DISCONTINUITY-SEQUENCE:${turn}`];
  lines.push(`#EXT-X-MAP:URI="${run}/v0/init.mp4"`);
  for (let msn = first; msn < first + count; msn += 1) lines.push(`#EXT-X-PROGRAM-DATE-TIME:${msn}`, `#EXT-X-PART:${msn}`, "#EXTINF:2.0,", `${run}/v0/s${msn}.m4s`);
  if (open > 0) lines.push(`#EXT-X-PROGRAM-DATE-TIME:${first + count}`);
  for (let part = 0; part < open; part += 1) lines.push(`#EXT-X-PART:${first + count}.${part}`);
  return [...lines, "#EXT-X-PRELOAD-HINT:x", ""].join("\n");
}

const segments = (text: string | null) => [...(text ?? "").matchAll(/s(\d+)\.m4s/g)].map((match) => Number(match[1]));
const tag = (text: string | null, name: string) => new RegExp(`#EXT-X-${name}:(.*)`).exec(text ?? "")?.[1];

describe("what was before and what is here", () => {
  it("make one playlist without a hole or a word twice", () => {
    const text = splice(playlist(10, 20, 2), playlist(28, 1, 3), 3600);
    expect(segments(text)).toEqual(Array.from({ length: 19 }, (_, at) => 10 + at));
    expect([tag(text, "MEDIA-SEQUENCE"), tag(text, "DISCONTINUITY-SEQUENCE"), text?.match(/#EXT-X-MAP/g)?.length]).toEqual(["10", "3", 2]);
    expect(text).toContain("#EXT-X-PART:29.2");
    expect([text?.includes("#EXT-X-PART:27"), text?.includes("#EXT-X-PART:20\n")]).toEqual([true, false]);
    expect(text).not.toContain("#EXT-X-DISCONTINUITY\n");
  });

  it("show no more than the stream's window", () => {
    const text = splice(playlist(10, 20, 2), playlist(28, 4, 0), 12);
    expect([segments(text), tag(text, "MEDIA-SEQUENCE")]).toEqual([[26, 27, 28, 29, 30, 31], "26"]);
    expect(segments(splice(playlist(10, 20, 2), playlist(28, 6, 0), 12))).toEqual([28, 29, 30, 31, 32, 33]);
  });

  it("need each other: what has a hole is asked of the edge", () => {
    expect(splice(playlist(10, 5, 2), playlist(16, 3, 1), 3600)).toBeNull();
    expect(splice(null, playlist(16, 0, 3), 3600)).toBeNull();
    expect(segments(splice(null, playlist(16, 2, 3), 3600))).toEqual([16, 17]);
    expect(segments(splice(playlist(10, 6, 2), playlist(16, 0, 3), 3600))).toEqual([10, 11, 12, 13, 14, 15]);
  });

  it("are told apart when the publisher came back in between", () => {
    const text = splice(playlist(10, 6, 0), playlist(16, 2, 1, "00000000000000bb", 4), 3600);
    expect(text?.indexOf("#EXT-X-DISCONTINUITY\n")).toBeGreaterThan(text?.indexOf("s15.m4s") ?? 0);
  });

  it("say the same of every run, wherever what is here begins and whatever was cut off", () => {
    const [a, b, c] = ["aa", "bb", "cc"].map((end) => `00000000000000${end}`) as [string, string, string];
    const again = (first: number, count: number, run: string) =>
      playlist(first, count, 0, run).split("\n").slice(5, -2).join("\n").replace(/^/, "#EXT-X-DISCONTINUITY\n");
    // Two segments of the first run, two of the second, three of the third.
    const history = [playlist(10, 2, 0, a, 0).replace(/#EXT-X-PRELOAD.*\n/, "") + again(12, 2, b), again(14, 3, c), ""].join("\n");
    const told = (text: string | null) => {
      const words = (text ?? "").match(/DISCONTINUITY-SEQUENCE:\d+|DISCONTINUITY\n|MAP:URI="0{14}(..)|s\d+(?=\.m4s)/g) ?? [];
      return words.map((word) => word.trim().replace("DISCONTINUITY-SEQUENCE:", "from ").replace("DISCONTINUITY", "turn").replace(/MAP.*(..)$/, "$1")).join(" ");
    };
    expect(told(history)).toBe("from 0 aa s10 s11 turn bb s12 s13 turn cc s14 s15 s16");
    const here = (first: number, count: number) => playlist(first, count, 1, c, 2);
    expect(told(splice(history, here(14, 3), 3600))).toBe("from 0 aa s10 s11 turn bb s12 s13 turn cc s14 s15 s16");
    expect(told(splice(history, here(16, 1), 3600))).toBe("from 0 aa s10 s11 turn bb s12 s13 turn cc s14 s15 cc s16");
    expect(told(splice(history, here(15, 2), 10))).toBe("from 1 bb s12 s13 turn cc s14 cc s15 s16");
    expect(told(splice(history, here(15, 2), 8))).toBe("from 1 bb s13 turn cc s14 cc s15 s16");
    expect(told(splice(history, here(16, 1), 6))).toBe("from 2 cc s14 s15 cc s16");
  });
});

it("reads the ladder and the addresses of media", () => {
  const index = '#EXT-X-MEDIA:TYPE=AUDIO,URI="a0.m3u8"\n#EXT-X-STREAM-INF:x\nv1.m3u8\n#EXT-X-STREAM-INF:x\nv0.m3u8\nv10.m3u8\n';
  expect(ladder(index)).toEqual({ videos: ["v0", "v1", "v10"], audios: ["a0"] });
  const base = "http://edge/v/t1cket/s/demo/";
  expect([renditionOf(`${base}v1.m3u8?_HLS_msn=4`), renditionOf(`${base}index.m3u8`)]).toEqual(["v1", null]);
  expect(mediaOf(`${base}${RUN}/v1/p77.m4s`)).toEqual({ run: RUN, rendition: "v1", kind: "p", number: 77 });
  expect(mediaOf(`${base}${RUN}/a0/init.mp4`)?.kind).toBe("init");
  expect(mediaOf(`${base}${RUN}/a0/x.mp4`)).toBeNull();
});

describe("what a viewer gives", () => {
  const wifi: Circumstances = { asked: null, operator: "on", saveData: false, connection: "wifi", phone: false };
  it("is what the most careful of all says", () => {
    const of = (change: Partial<Circumstances>) => Object.values(decide({ ...wifi, ...change }));
    expect(of({})).toEqual(["on", null]);
    expect(of({ phone: true })).toEqual(["receive-only", "phone"]);
    expect(of({ phone: true, asked: "on" })).toEqual(["on", null]);
    expect(of({ connection: "cellular", asked: "on" })).toEqual(["receive-only", "cellular"]);
    expect(of({ saveData: true, asked: "on" })).toEqual(["off", "save_data"]);
    expect(of({ operator: "off", asked: "on" })).toEqual(["off", "operator"]);
    expect(of({ operator: "receive-only", asked: "on" })).toEqual(["receive-only", "operator"]);
    expect(of({ operator: "receive-only", asked: "off" })).toEqual(["off", "asked"]);
  });

  it("is read in the wire's words and ours", () => {
    expect(["receive_only", "receive-only", "off", "on", "maybe", 3].map(readP2p)).toEqual([
      "receive-only", "receive-only", "off", "on", null, null,
    ]);
  });
});

it("reads the mesh's part of a join, and an older server's", () => {
  const said = { stream: "demo", ticket: "AQ", hls: "/v/AQ/s/demo/index.m3u8", link: "/v/AQ/s/demo/link", origin_key: "ab".repeat(32), stun_port: 3478, p2p: "receive_only", viewers_min: 4 };
  expect(readAdmission(said, "http://host:8080/watch/demo")).toEqual({
    stream: "demo", ticket: "AQ", hls: "http://host:8080/v/AQ/s/demo/index.m3u8", link: "http://host:8080/v/AQ/s/demo/link",
    originKey: "ab".repeat(32), stunPort: 3478, p2p: "receive-only", viewersMin: 4,
  });
  const older = readAdmission({ ...said, link: undefined, origin_key: "short", stun_port: 0, p2p: undefined }, "http://host/");
  expect([older?.link, older?.originKey, older?.stunPort, older?.p2p]).toEqual([null, null, null, "on"]);
  expect([readAdmission({ hls: 7 }, "http://host/"), readAdmission(null, "http://host/")]).toEqual([null, null]);
});

it("is woken in time, and seldom too early", () => {
  vi.useFakeTimers();
  const rung: number[] = [];
  const begun = performance.now();
  const alarm = new Alarm(() => rung.push(performance.now() - begun));
  for (const atMs of [300, 100, 200, Infinity]) alarm.set(begun + atMs);
  vi.advanceTimersByTime(1_000);
  alarm.set(begun + 1_500);
  vi.advanceTimersByTime(1_000);
  alarm.set(begun + 3_000);
  alarm.end();
  vi.advanceTimersByTime(5_000);
  vi.useRealTimers();
  expect([rung, alarm.steady]).toEqual([[100, 1_500], false]);
});

it("plays a little faster behind its place and a little slower ahead of it", () => {
  expect([0, 0.1, 0.5, 3, -0.1, -0.5].map((distance) => pace(distance, 1.2))).toEqual([1, 1.05, 1.1, 1.1, 1, 0.95]);
  expect([pace(0.5, 0.5), pace(30, 10), pace(-2, 0.1)]).toEqual([1, 1, 0.95]);
});

it("has a sentence for every end of a link", () => {
  expect([2, 3, 9, 1, 77].map(ofBye)).toEqual(["ticket", "no_room", "ended", "link_lost", "link_lost"]);
  expect(sentence("alone")).toMatch(/everything comes from it/);
});

describe("the loader of media", () => {
  const part = `http://edge/v/t/s/demo/${RUN}/v0/p9.m4s`;
  const inner = vi.fn();

  class Inner {
    static isSlow = false;
    stats!: LoaderStats;
    load(context: FragmentLoaderContext, _: unknown, callbacks: LoaderCallbacks<FragmentLoaderContext>): void {
      inner(context.url);
      if (!Inner.isSlow) callbacks.onSuccess({ url: context.url, data: new ArrayBuffer(5) }, this.stats, context, null);
    }
    abort(): void {}
    destroy(): void {
      this.stats.aborted = true;
    }
  }

  /** A mesh that answers as told, and a request of it. */
  function ask(found: string, url = part) {
    const watchers = new Set<() => void>();
    const mesh = {
      found, http: 0, thrown: 0, took: [] as unknown[], patience: 4_000, fetched: 0, offered: 0,
      find: () => mesh.found,
      take: () => ({ data: new ArrayBuffer(1_000), ms: 40 }),
      watch: (changed: () => void) => (watchers.add(changed), () => watchers.delete(changed)),
      tookHttp: (bytes: number, media: unknown) => void ((mesh.http += bytes), mesh.took.push(media)),
      threwAway: (bytes: number) => void (mesh.thrown += bytes),
      offer: () => void (mesh.offered += 1),
      fetches: (untilMs: number) => void (mesh.fetched = untilMs),
      patienceMs: () => mesh.patience,
      isInit: () => false,
      address: (to: string) => to.replace("edge", "elsewhere"),
    };
    const { fLoader } = hlsConfig(mesh as unknown as Mesh);
    const loader = new fLoader!({ loader: Inner } as unknown as HlsConfig);
    const came: ArrayBuffer[] = [];
    const callbacks = { onSuccess: (response: { data: ArrayBuffer }) => came.push(response.data), onError: vi.fn(), onTimeout: vi.fn(), onAbort: vi.fn() };
    loader.load({ url, frag: { endProgramDateTime: 70 } } as FragmentLoaderContext, {} as never, callbacks as never);
    return { mesh, loader, came, watchers, callbacks };
  }

  it("waits for what is on its way, and calls that no loading", async () => {
    const { mesh, loader, came, watchers } = ask("coming");
    await Promise.resolve();
    expect(came.length).toBe(0);
    expect(Math.abs(performance.now() - loader.stats.loading.start)).toBeLessThan(5);
    mesh.found = "here";
    for (const changed of [...watchers]) changed();
    const { start, end } = loader.stats.loading;
    expect([came[0]?.byteLength, Math.round(end - start), loader.stats.loaded, watchers.size]).toEqual([1_000, 40, 1_000, 0]);
  });

  it("goes to the edge of now for what is elsewhere, or is so after all", async () => {
    inner.mockClear();
    const { mesh, came, watchers } = ask("coming");
    await Promise.resolve();
    mesh.found = "elsewhere";
    for (const changed of [...watchers]) changed();
    expect([came[0]?.byteLength, mesh.http, watchers.size]).toEqual([5, 5, 0]);
    expect(mesh.took).toEqual([{ run: RUN, rendition: "v0", kind: "p", number: 9 }]);
    expect(inner).toHaveBeenCalledWith(part.replace("edge", "elsewhere"));
  });

  it("takes what comes here after all while a busy edge lets it wait", async () => {
    Inner.isSlow = true;
    const { mesh, loader, came, watchers, callbacks } = ask("coming");
    await Promise.resolve();
    const change = () => [...watchers].forEach((changed) => changed());
    mesh.found = "elsewhere";
    change();
    change();
    expect([came.length, watchers.size]).toEqual([0, 1]);
    [mesh.found, loader.stats.loaded] = ["here", 300];
    change();
    Inner.isSlow = false;
    expect([came[0]?.byteLength, mesh.http, mesh.thrown, watchers.size, loader.stats.aborted]).toEqual([1_000, 0, 300, 0, false]);
    expect([callbacks.onAbort, callbacks.onError].map((call) => call.mock.calls.length)).toEqual([0, 0]);
  });

  it("waits no longer than the player can, and gives what came to others", async () => {
    vi.useFakeTimers();
    const { mesh, came } = ask("coming");
    mesh.patience = 40;
    await vi.advanceTimersByTimeAsync(39);
    expect([came.length, mesh.fetched, mesh.offered]).toEqual([0, 0, 0]);
    await vi.advanceTimersByTimeAsync(1);
    vi.useRealTimers();
    expect([came[0]?.byteLength, mesh.fetched, mesh.offered]).toEqual([5, 70, 1]);
  });

  it("counts what is used, not what came", async () => {
    const { mesh, came, callbacks } = ask("elsewhere", part.replace("p9.m4s", "init.mp4"));
    await Promise.resolve();
    expect([came.length, mesh.http, mesh.thrown, callbacks.onError.mock.calls.length]).toEqual([0, 0, 5, 1]);
  });

  it("says once that it was stopped", async () => {
    const { loader, callbacks, came, mesh, watchers } = ask("coming");
    await Promise.resolve();
    loader.abort();
    loader.destroy();
    mesh.found = "here";
    expect([callbacks.onAbort.mock.calls.length, watchers.size, came.length]).toEqual([1, 0, 0]);
  });
});
