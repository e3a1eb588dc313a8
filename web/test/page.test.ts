// The page's decisions, each as one state, one event, and the whole output.
import { describe, expect, it } from "vitest";
import { label, next, start, type Admission, type Event, type Page, type Stage } from "../src/page";

const admission: Admission = { hls: "http://edge/v/t/s/demo/index.m3u8", publisher: "live", maxRate: null, mesh: null };
const no = (status: number, error: string, retryAfterS: number | null = null): Event => ({
  is: "refused", status, error, message: "said", retryAfterS,
});
const at = (stage: Stage, more: Partial<Page> = {}): Page => ({ ...start, stage, ...more });
const watching = (more: Partial<Page> = {}): Page =>
  at({ at: "watching" }, { publisher: "live", media: "playing", picture: true, ...more });
const lost = (more: object = {}): Stage => ({
  at: "lost", error: "edge_silent", retryMs: 250, plan: "reload", trying: false, ...more,
} as Stage);

describe("joining", () => {
  it("loads and plays what it is admitted to", () => {
    expect(next(start, { is: "admitted", admission }, 0)).toEqual({
      page: at({ at: "watching" }, { publisher: "live" }),
      effects: [{ do: "load", admission, play: true }],
    });
  });

  it("shows an ended stream without starting it", () => {
    const ended = { ...admission, publisher: "ended" as const };
    const { page, effects } = next(start, { is: "admitted", admission: ended }, 0);
    expect(effects).toEqual([{ do: "load", admission: ended, play: false }]);
    expect(page).toEqual(at({ at: "watching" }, { publisher: "ended", media: "finished" }));
    expect(label(page)).toBe("ended");
  });

  it("waits for a stream nobody publishes, never asking earlier than told", () => {
    expect(next(start, no(404, "not_live", 2), 0)).toEqual({
      page: at({ at: "waiting", known: true, retryMs: 2000 }, { detail: "said" }),
      effects: [{ do: "wake", ms: 2000 }],
    });
    expect(next(start, no(404, "no_such_stream"), 1)).toEqual({
      page: at({ at: "waiting", known: false, retryMs: 2500 }, { detail: "said" }),
      effects: [{ do: "wake", ms: 2500 }],
    });
  });

  it("asks again when the wait is over, and leaves the words standing meanwhile", () => {
    const page = at({ at: "waiting", known: true, retryMs: 2000 });
    expect(next(page, { is: "due" }, 0)).toEqual({ page, effects: [{ do: "join" }] });
  });

  it("counts down when every place is taken", () => {
    expect(next(start, no(503, "no_capacity", 7), 0)).toEqual({
      page: at({ at: "refused", error: "no_capacity", retryMs: 7000 }, { detail: "said" }),
      effects: [{ do: "wake", ms: 7000 }],
    });
  });

  it("does not ask again where the answer would be the same", () => {
    expect(next(start, no(401, "token_missing"), 0)).toEqual({
      page: at({ at: "denied", error: "token_missing" }, { detail: "said" }),
      effects: [{ do: "unload" }, { do: "forget_token" }],
    });
    expect(next(start, no(403, "not_allowed"), 0)).toEqual({
      page: at({ at: "denied", error: "not_allowed" }, { detail: "said" }),
      effects: [{ do: "unload" }],
    });
    expect(next(start, no(400, "bad_request"), 0)).toEqual({
      page: at({ at: "failed", error: "bad_request" }, { detail: "said" }),
      effects: [],
    });
  });

  it("backs off from a manager that does not answer, up to a quarter of a minute", () => {
    expect(next(start, { is: "unreachable" }, 0)).toEqual({
      page: at({ at: "lost", error: "manager_unreachable", retryMs: 250, plan: "join", trying: false }, { failures: 1 }),
      effects: [{ do: "wake", ms: 250 }],
    });
    const late = next({ ...start, failures: 20 }, { is: "unreachable" }, 1);
    expect(late.effects).toEqual([{ do: "wake", ms: 15_000 }]);
  });
});

describe("watching", () => {
  it("says whose fault it is that nothing moves", () => {
    const dry = (publisher: Page["publisher"], picture = true) => label(watching({ media: "buffering", publisher, picture }));
    expect([dry("live"), dry("paused"), dry("ended"), dry("vod"), dry("live", false)]).toEqual([
      "buffering", "paused", "ended", "buffering", "connecting",
    ]);
    // Further back in the window there is still something to see.
    expect(label(watching({ publisher: "paused" }))).toBe("playing");
  });

  it("takes a first frame as proof that all is well", () => {
    expect(next(watching({ media: "starting", picture: false, failures: 2 }), { is: "media", media: "playing" }, 0)).toEqual({
      page: watching(),
      effects: [],
    });
  });

  it("lets a paused publisher's edge be silent, and asks it again", () => {
    const page = watching({ media: "buffering", publisher: "paused" });
    expect(next(page, { is: "edge", what: "silent" }, 0)).toEqual({ page, effects: [{ do: "wake", ms: 1500 }] });
    // Even if the publisher came back meanwhile: the player has given up and must be told.
    const back = { ...page, publisher: "live" } as Page;
    expect(next(back, { is: "due" }, 0)).toEqual({ page: back, effects: [{ do: "reload" }] });
  });

  it("starts by itself when an ended stream is live again", () => {
    const page = watching({ media: "finished", publisher: "ended" });
    expect(next(page, { is: "publisher", state: "live" }, 0)).toEqual({
      page: at({ at: "connecting" }, { publisher: "live", media: "starting", picture: true }),
      effects: [{ do: "join" }],
    });
    // Somebody watching it again is not torn away.
    const replaying = watching({ publisher: "ended" });
    expect(next(replaying, { is: "publisher", state: "live" }, 0)).toEqual({ page: watching(), effects: [] });
  });

  it("keeps listening for a new start when the place of an ended stream is gone", () => {
    const page = watching({ media: "finished", publisher: "ended" });
    const step = next(page, { is: "edge", what: "gone" }, 0);
    expect(step).toEqual({
      page: { ...page, stage: { at: "over", retryMs: 10_000 } },
      effects: [{ do: "unload" }, { do: "wake", ms: 10_000 }],
    });
    expect(label(step.page)).toBe("ended");
    const asked = next(step.page, no(404, "not_live", 2), 0).page;
    expect(asked.stage).toEqual({ at: "over", retryMs: 20_000 });
    const long = { ...asked, stage: { at: "over", retryMs: 60_000 } } as Page;
    expect(next(long, no(404, "not_live", 2), 0).page.stage).toEqual({ at: "over", retryMs: 60_000 });
    expect(next(long, { is: "admitted", admission }, 0).effects).toEqual([{ do: "load", admission, play: true }]);
  });

  it("goes on with somebody who watches an ended stream again when the place runs out", () => {
    const page = watching({ publisher: "ended", stage: lost({ plan: "join", trying: true }) });
    const ended = { ...admission, publisher: "ended" as const };
    expect(next(page, { is: "admitted", admission: ended }, 0)).toEqual({
      page: watching({ publisher: "ended", media: "starting" }),
      effects: [{ do: "load", admission: ended, play: true }],
    });
  });

  it("leaves a recording alone that has been seen to its end", () => {
    const page = watching({ media: "finished", publisher: "vod" });
    expect(next(page, { is: "edge", what: "gone" }, 0)).toEqual({ page, effects: [] });
    expect(next(page, { is: "again" }, 0)).toEqual({ page, effects: [{ do: "replay" }] });
  });
});

describe("losing the edge", () => {
  it("asks a silent edge once more, then the manager", () => {
    const first = next(watching(), { is: "edge", what: "silent" }, 0);
    expect(first).toEqual({ page: watching({ stage: lost(), failures: 1 }), effects: [{ do: "wake", ms: 250 }] });
    const again = next(first.page, { is: "due" }, 0);
    expect(again).toEqual({ page: watching({ stage: lost({ trying: true }), failures: 1 }), effects: [{ do: "reload" }, { do: "wake", ms: 4000 }] });
    // Neither a byte nor an error came of it.
    expect(next(again.page, { is: "due" }, 0)).toEqual(next(again.page, { is: "edge", what: "silent" }, 0));
    expect(next(again.page, { is: "edge", what: "silent" }, 0)).toEqual({
      page: watching({ stage: lost({ plan: "join", retryMs: 500 }), failures: 2 }),
      effects: [{ do: "wake", ms: 500 }],
    });
  });

  it("counts the many failures of one loss once", () => {
    const page = watching({ stage: lost(), failures: 1 });
    expect(next(page, { is: "edge", what: "silent" }, 0)).toEqual({ page, effects: [] });
    const joining = watching({ stage: lost({ plan: "join", trying: true }), failures: 1 });
    expect(next(joining, { is: "edge", what: "gone" }, 0)).toEqual({ page: joining, effects: [] });
  });

  it("goes to the manager when the edge says the place is gone", () => {
    expect(next(watching(), { is: "edge", what: "gone" }, 0).page.stage).toEqual(lost({ error: "edge_gone", plan: "join" }));
    const page = watching({ stage: lost(), failures: 1 });
    expect(next(page, { is: "edge", what: "gone" }, 0).page.stage).toEqual(
      lost({ error: "edge_gone", plan: "join", retryMs: 500 }),
    );
  });

  it("is not fooled by a buffer that plays on", () => {
    const page = watching({ stage: lost(), failures: 1 });
    expect(next(page, { is: "media", media: "playing" }, 0)).toEqual({ page, effects: [] });
    // Bytes end the loss; only a moving picture clears the record.
    const back = next(page, { is: "flow" }, 0);
    expect(back).toEqual({ page: watching({ failures: 1 }), effects: [{ do: "rest" }] });
    expect(next(back.page, { is: "media", media: "playing" }, 0)).toEqual({ page: watching(), effects: [] });
  });

  it("tries the old edge between two joins while the manager is away", () => {
    const page = watching({ stage: lost({ plan: "join", trying: true }), failures: 1 });
    expect(next(page, { is: "unreachable" }, 0).page.stage).toEqual(
      lost({ error: "manager_unreachable", retryMs: 500, plan: "reload" }),
    );
  });

  it("gives up on a picture that breaks every time", () => {
    expect(next(watching({ failures: 3 }), { is: "edge", what: "broken" }, 0)).toEqual({
      page: watching({ stage: { at: "failed", error: "cannot_play" }, failures: 3 }),
      effects: [{ do: "unload" }],
    });
  });

  it("stops the old player when there is no new place, and says why the access ended", () => {
    const page = watching({ stage: lost({ plan: "join", trying: true }), failures: 1 });
    expect(next(page, no(503, "no_capacity", 3), 0).effects).toEqual([{ do: "unload" }, { do: "wake", ms: 3000 }]);
    expect(next(page, no(401, "token_expired"), 0).page.stage).toEqual({ at: "denied", error: "token_expired" });
  });
});

describe("pressing what is offered", () => {
  const pressed = (page: Page) => next(page, { is: "again" }, 0);

  it("does what the button of the state says", () => {
    const blocked = watching({ media: "blocked", picture: false });
    expect(pressed(blocked)).toEqual({ page: blocked, effects: [{ do: "play" }] });
    expect(pressed(at({ at: "denied", error: "not_allowed" }))).toEqual({ page: start, effects: [{ do: "join" }] });
    const away = watching({ stage: lost(), failures: 4 });
    expect(pressed(away)).toEqual({
      page: watching({ stage: lost({ plan: "join", trying: true }), failures: 4 }),
      effects: [{ do: "join" }],
    });
  });
});
