// The small pure parts: clock, formats, addresses, answers, the timeline, the words.
import { describe, expect, it } from "vitest";
import { offsetMs, sample, withSample, type Sample } from "../src/clock";
import * as format from "../src/format";
import { readAnswer } from "../src/join";
import { start, type Page } from "../src/page";
import { firstGuess } from "../src/player/guess";
import { readRoute } from "../src/route";
import { isLive, shouldJump, timeline } from "../src/timeline";
import { words } from "../src/words";

describe("the server's clock", () => {
  it("is taken at the midpoint of the request with the least round trip", () => {
    const slow = sample(1000, 1400, 9500); // truth 8000, half of 400 ms of doubt
    const quick = sample(5000, 5020, 13_010);
    expect([slow, quick]).toEqual([{ offsetMs: 8300, rttMs: 400 }, { offsetMs: 8000, rttMs: 20 }]);
    expect(offsetMs([slow, quick, slow])).toBe(8000);
    expect(offsetMs([])).toBeNull();
  });

  it("forgets old samples, so that a stepped clock heals", () => {
    let kept: Sample[] = [{ offsetMs: 1, rttMs: 1 }];
    for (let i = 0; i < 36; i += 1) kept = withSample(kept, { offsetMs: 500, rttMs: 30 });
    expect([kept.length, offsetMs(kept)]).toEqual([36, 500]);
  });
});

it("writes numbers for people", () => {
  expect([3, 63.9, 3723, -1].map(format.time)).toEqual(["0:03", "1:03", "1:02:03", "0:00"]);
  expect([0, 61, 3600].map(format.spokenTime)).toEqual(["0 seconds", "1 minute 1 second", "1 hour"]);
  expect([null, 1.234, 9.96].map(format.seconds)).toEqual(["–", "1.2 s", "10 s"]);
  expect([null, 520_000, 2_700_000, 283e6].map(format.bitrate)).toEqual(["–", "520 kbit/s", "2.7 Mbit/s", "283 Mbit/s"]);
  expect([999, 22_000, 3.4e6, 2e9].map(format.bytes)).toEqual(["999 B", "22 kB", "3.4 MB", "2.00 GB"]);
});

describe("the address", () => {
  const read = (path: string) => readRoute(`http://host${path}`);

  it("names the stream, and the token leaves it", () => {
    expect(read("/watch/town-hall?token=a.b.c&embed=1#x")).toEqual({
      stream: "town-hall", token: "a.b.c", embed: true, p2p: null, record: false, cleanUrl: "/watch/town-hall?embed=1#x",
    });
    expect(read("/")).toEqual({ stream: "demo", token: null, embed: false, p2p: null, record: false, cleanUrl: "/" });
    expect(read("/?stream=kitchen&token=").stream).toBe("kitchen");
  });

  it("accepts no name the server would not", () => {
    expect(["/watch/", "/watch/UP", "/watch/-x", "/watch/a%2Fb", `/watch/${"a".repeat(65)}`].map((p) => read(p).stream)).toEqual([
      null, null, null, null, null,
    ]);
  });
});

describe("the manager's answer", () => {
  const base = "http://host:8080/watch/demo";

  it("is an admission with an absolute address", () => {
    expect(readAnswer(200, { hls: "/v/t/s/demo/index.m3u8", state: "live", max_rate: 1_500_000 }, null, base)).toEqual({
      is: "admitted",
      admission: { hls: "http://host:8080/v/t/s/demo/index.m3u8", publisher: "live", maxRate: 1_500_000, mesh: null },
    });
    expect(readAnswer(200, { hls: "https://edge.example/v/t/s/demo/index.m3u8", state: "vod" }, null, base)).toEqual({
      is: "admitted",
      admission: { hls: "https://edge.example/v/t/s/demo/index.m3u8", publisher: "vod", maxRate: null, mesh: null },
    });
  });

  it("is a refusal even when a proxy wrote it", () => {
    expect(readAnswer(503, undefined, "9", base)).toEqual({
      is: "refused", status: 503, error: "http_503", message: "", retryAfterS: 9,
    });
    const body = { error: "no_capacity", message: "m", retry_after: 1e9 };
    expect(readAnswer(503, body, "9", base)).toEqual({
      is: "refused", status: 503, error: "no_capacity", message: "m", retryAfterS: 120,
    });
  });

  it("without an address is no answer", () => {
    expect(readAnswer(200, { hls: 7 }, null, base)).toEqual({ is: "unreachable" });
    expect(readAnswer(200, { hls: "http://[" }, null, base)).toEqual({ is: "unreachable" });
  });
});

describe("the timeline", () => {
  const live = { live: true, range: { start: 10, end: 70 }, at: 68.5, bufferedTo: 69.8, liveSync: 69 };

  it("ends a live bar where live plays", () => {
    const t = timeline(live);
    expect(t).toEqual({ kind: "live", start: 10, end: 69, at: 69, bufferedTo: 69, behind: 0.5, seekable: true });
    expect([isLive(t), shouldJump(t, true, "playing")]).toEqual([true, false]);
  });

  it("takes back only those who wanted to be live", () => {
    const t = timeline({ ...live, at: 50, bufferedTo: 55 });
    expect(t).toEqual({ kind: "live", start: 10, end: 69, at: 50, bufferedTo: 55, behind: 19, seekable: true });
    expect([isLive(t), shouldJump(t, true, "playing"), shouldJump(t, false, "playing"), shouldJump(t, true, "stopped")]).toEqual([
      false, true, false, false,
    ]);
  });

  it("shows a recording whole", () => {
    expect(timeline({ live: false, range: { start: 0, end: 64 }, at: 2, bufferedTo: 20, liveSync: null })).toEqual({
      kind: "vod", start: 0, end: 64, at: 2, bufferedTo: 20, behind: 0, seekable: true,
    });
  });
});

it("guesses the line's speed from the best hint there is", () => {
  const none = { download: null, rememberedBps: null, downlinkMbps: null };
  const cached = { bytes: 0, ms: 2 };
  expect([
    firstGuess({ download: { bytes: 187_500, ms: 1000 }, rememberedBps: 9e6, downlinkMbps: 10 }),
    firstGuess({ download: cached, rememberedBps: 5e6, downlinkMbps: 10 }),
    firstGuess({ download: cached, rememberedBps: null, downlinkMbps: 10 }),
    firstGuess(none),
  ]).toEqual([1_200_000, 4_000_000, 8_000_000, 3_000_000]);
});

it("lets a refused viewer ask at once", () => {
  const refused = (error: string) => words({ ...start, stage: { at: "refused", error, retryMs: 1 }, detail: "said" }, { stream: "demo", replay: false });
  expect(refused("no_capacity")).toMatchObject({ button: "Try now", countdown: true, detail: "" });
  expect(refused("starting")).toMatchObject({ button: "Try now", countdown: true, detail: "said" });
});

it("has words for every state that shows no moving picture", () => {
  const facts = { stream: "demo", replay: true };
  const title = (page: Partial<Page>) => words({ ...start, ...page }, facts)?.title ?? null;
  const watching = { stage: { at: "watching" }, picture: true } as const;
  expect([
    title({}),
    title({ stage: { at: "waiting", known: true, retryMs: 1 } }),
    title({ stage: { at: "waiting", known: false, retryMs: 1 } }),
    title({ stage: { at: "refused", error: "no_capacity", retryMs: 1 } }),
    title({ stage: { at: "denied", error: "token_expired" } }),
    title({ stage: { at: "failed", error: "cannot_play" } }),
    title({ ...watching, media: "buffering", publisher: "paused" }),
    title({ ...watching, media: "finished", publisher: "ended" }),
    title({ ...watching, media: "playing", publisher: "live" }),
  ]).toEqual([
    "Connecting", "Not started yet", "No stream is called “demo”", "Every place is taken", "Your access has run out",
    "The picture cannot be shown", "The publisher is away for a moment", "The stream has ended", null,
  ]);
});
