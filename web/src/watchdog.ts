// Is playing stuck? Who waits for media and gets none for long is, whoever should bring it; and trouble at the edge is none
// while other viewers bring what is needed. Pure.
// Invariant: `stuck` is said at most once for each STUCK_MS without a byte.
import type { Event, Page } from "./page";
import { label } from "./page";

/** A player that waits this long without a byte and without an error is stuck: no edge holds an answer back for more
 * than 20 s. An edge that is dead, the pulse notices sooner. */
export const STUCK_MS = 22_000;

/** Since when no media came in although the picture waits for it. */
export interface Dry {
  bytes: number;
  ms: number;
}

/** A look at the page: `bytes` of media came in so far. */
export function watch(dry: Dry, page: Page, bytes: number, nowMs: number): { dry: Dry; stuck: boolean } {
  const waits = page.stage.at === "watching" && ["buffering", "connecting"].includes(label(page));
  if (!waits || bytes !== dry.bytes) return { dry: { bytes, ms: nowMs }, stuck: false };
  const stuck = nowMs - dry.ms >= STUCK_MS;
  return { dry: stuck ? { bytes, ms: nowMs } : dry, stuck };
}

/** Is what the pulse or the player says of the edge anybody's trouble? While the mesh carries it looks for another edge by
 * itself; what cannot be decoded is trouble whoever brought it. */
export function isTrouble(event: Event, carries: boolean): boolean {
  return !(event.is === "edge" && event.what !== "broken" && carries);
}
