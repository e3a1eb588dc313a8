// When is a page taken for stuck, and whose trouble is the edge's silence? Looks at a page, one after the other.
import { describe, expect, it } from "vitest";
import { start, type Event, type Media, type Page, type Publisher } from "../src/page";
import { isTrouble, STUCK_MS, watch } from "../src/watchdog";

const page = (media: Media, publisher: Publisher = "live", more: Partial<Page> = {}): Page =>
  ({ ...start, stage: { at: "watching" }, picture: true, publisher, media, ...more });

const waits = page("buffering");
const begins = page("starting", "live", { picture: false });
const lost: Page = { ...waits, stage: { at: "lost", error: "edge_silent", retryMs: 250, plan: "reload", trying: false } };

/** Looks, as [seconds, page, bytes]; the seconds at which it was stuck. */
function stuckAt(looks: [number, Page, number][]): number[] {
  let dry = { bytes: 0, ms: 0 };
  return looks.flatMap(([seconds, at, bytes]) => {
    const seen = watch(dry, at, bytes, seconds * 1000);
    dry = seen.dry;
    return seen.stuck ? [seconds] : [];
  });
}

describe("the watchdog", () => {
  const limit = STUCK_MS / 1000;
  it.each<[string, [number, Page, number][], number[]]>([
    ["what waits without a byte is stuck, and said so once", [[1, waits, 5], [limit, waits, 5], [limit + 1, waits, 5], [limit + 2, waits, 5]], [limit + 1]],
    ["and again when as much time has gone by", [[1, waits, 5], [limit + 1, waits, 5], [2 * limit + 1, waits, 5]], [limit + 1, 2 * limit + 1]],
    ["before the first picture as well", [[1, begins, 1], [limit + 1, begins, 1]], [limit + 1]],
    ["a byte begins it anew", [[1, waits, 5], [limit, waits, 6], [limit + 1, waits, 6]], []],
    ["so does a moment of playing", [[1, waits, 5], [limit, page("playing"), 5], [limit + 1, waits, 5]], []],
    ["who does not wait for media is not stuck", [[1, page("stopped"), 5], [60, page("stopped"), 5], [120, page("playing"), 5]], []],
    ["nor who waits for a publisher that is away, or has ended", [[1, page("buffering", "paused"), 5], [60, page("buffering", "paused"), 5], [120, page("buffering", "ended"), 5]], []],
    ["a place that is being looked for has its own patience", [[1, lost, 5], [60, lost, 5], [61, waits, 5], [60 + limit - 1, waits, 5], [60 + limit, waits, 5]], [60 + limit]],
  ])("%s", (_, looks, expected) => expect(stuckAt(looks)).toEqual(expected));
});

it("the edge's trouble is the page's unless other viewers bring what is needed", () => {
  const edge = (what: "gone" | "silent" | "broken"): Event => ({ is: "edge", what });
  const told = (["gone", "silent", "broken"] as const).map((what) => [isTrouble(edge(what), false), isTrouble(edge(what), true)]);
  expect(told).toEqual([[true, false], [true, false], [true, true]]);
  expect(isTrouble({ is: "publisher", state: "paused" }, true)).toBe(true);
});
