// What does the person see, and what happens next?
// One pure function, `next(page, event, roll)`: the new page and the effects to run. No clock, no network, no DOM;
// chance comes in as `roll` in [0, 1). Every stage that waits for something carries the delay after which it acts.

import type { Admission as MeshAdmission } from "../sdk/src/index";

/** What the server says of the publisher (state.json). */
export type Publisher = "waiting" | "live" | "paused" | "ended" | "vod";

/** What the video element does. `stopped`: by the viewer. `blocked`: the browser refuses autoplay. */
export type Media = "starting" | "playing" | "buffering" | "stopped" | "blocked" | "finished";

/** The manager's yes. */
export interface Admission {
  hls: string;
  publisher: Publisher;
  /** bits per second the viewer may take, or null without limit */
  maxRate: number | null;
  /** What the mesh needs to know; null when the answer did not tell. */
  mesh: MeshAdmission | null;
}

export type Stage =
  | { at: "connecting" }
  | { at: "waiting"; known: boolean; retryMs: number }
  | { at: "refused"; error: string; retryMs: number }
  | { at: "denied"; error: string }
  /** `trying`: the wait is over and the plan under way; only then may a further failure count. */
  | { at: "lost"; error: string; retryMs: number; plan: Plan; trying: boolean }
  | { at: "watching" }
  | { at: "over"; retryMs: number }
  | { at: "failed"; error: string };

/** Ask the same edge again, or the manager for a new one. */
export type Plan = "reload" | "join";

export interface Page {
  stage: Stage;
  publisher: Publisher;
  media: Media;
  /** A frame has been shown, so there is a last picture to keep. */
  picture: boolean;
  /** Losses in a row, for the backoff. */
  failures: number;
  /** What the server said, to be shown under our own words. */
  detail: string;
}

export type Event =
  | { is: "admitted"; admission: Admission }
  | { is: "refused"; status: number; error: string; message: string; retryAfterS: number | null }
  | { is: "unreachable" }
  | { is: "due" }
  | { is: "media"; media: Media }
  | { is: "edge"; what: "gone" | "silent" | "broken" }
  | { is: "flow" }
  | { is: "publisher"; state: Publisher }
  /** Nothing the page can mend: the address, or the browser. */
  | { is: "impossible"; error: string }
  /** The viewer pressed what the state offers. */
  | { is: "again" };

export type Effect =
  | { do: "join" }
  | { do: "load"; admission: Admission; play: boolean }
  | { do: "reload" }
  | { do: "unload" }
  | { do: "wake"; ms: number }
  /** Cancels the wake. */
  | { do: "rest" }
  | { do: "play" }
  | { do: "replay" }
  | { do: "forget_token" };

type Lost = Extract<Stage, { at: "lost" }>;

export interface Step {
  page: Page;
  effects: Effect[];
}

/** The one word for a page: the name tests and styles know it by. */
export type Label =
  | "connecting" | "waiting" | "refused" | "denied" | "lost" | "failed"
  | "playing" | "buffering" | "paused" | "stopped" | "blocked" | "ended";

const WAIT_S = 2;
const REFUSED_S = 5;
/** An end is seldom followed by a new start: from here on ever longer, up to a minute. */
const OVER_MS = 10_000;
const OVER_MS_MAX = 60_000;
const PAUSED_RELOAD_MS = 1_500;
/** How long one more try of the same edge may take. */
const RELOAD_MS = 4_000;
const BACKOFF_MS = 500;
const BACKOFF_MS_MAX = 15_000;
/** A picture that cannot be decoded three times in a row will not be the fourth time either. */
const BROKEN_MAX = 3;

export const start: Page = {
  stage: { at: "connecting" },
  publisher: "waiting",
  media: "starting",
  picture: false,
  failures: 0,
  detail: "",
};

export function next(page: Page, event: Event, roll: number): Step {
  switch (event.is) {
    case "admitted":
      return onAdmitted(page, event.admission, roll);
    case "refused":
      return onRefused(page, event, roll);
    case "unreachable":
      return lose(page, "manager_unreachable", afterUnreachable(page), roll);
    case "due":
      return onDue(page, roll);
    case "media":
      return onMedia(page, event.media);
    case "edge":
      return onEdge(page, event.what, roll);
    case "flow":
      return onFlow(page);
    case "publisher":
      return onPublisher(page, event.state);
    case "impossible":
      return step({ ...page, stage: { at: "failed", error: event.error } });
    case "again":
      return onAgain(page, roll);
  }
}

export function label(page: Page): Label {
  switch (page.stage.at) {
    case "watching":
      return watchingLabel(page);
    case "over":
      return "ended";
    default:
      return page.stage.at;
  }
}

function watchingLabel({ media, publisher, picture }: Page): Label {
  if (media === "finished") return "ended";
  if (media === "blocked" || media === "stopped" || media === "playing") return media;
  // From here on the video wants data it does not have: say whose fault it is.
  if (publisher === "ended") return "ended";
  if (publisher === "paused" && picture) return "paused";
  return picture ? "buffering" : "connecting";
}

function onAdmitted(page: Page, admission: Admission, roll: number): Step {
  const publisher = admission.publisher;
  if (publisher === "waiting") return wait({ ...page, publisher, detail: "" }, true, WAIT_S, roll);
  // Whoever is watching an ended stream again when the place runs out goes on watching.
  const over = publisher === "ended" && (page.media === "starting" || page.media === "finished");
  return step(
    { ...page, stage: { at: "watching" }, publisher, media: over ? "finished" : "starting", detail: "" },
    { do: "load", admission, play: !over },
  );
}

function onRefused(page: Page, said: Extract<Event, { is: "refused" }>, roll: number): Step {
  const detail = said.message;
  if (said.status === 401 || said.status === 403) {
    const forget: Effect[] = said.status === 401 ? [{ do: "forget_token" }] : [];
    return step({ ...page, stage: { at: "denied", error: said.error }, detail }, { do: "unload" }, ...forget);
  }
  if (said.status === 404) {
    if (page.publisher === "ended") return over({ ...page, detail }, roll);
    return wait({ ...page, detail }, said.error !== "no_such_stream", said.retryAfterS ?? WAIT_S, roll);
  }
  if (said.status === 503 || said.status === 429) {
    const retryMs = spread((said.retryAfterS ?? REFUSED_S) * 1000, roll);
    return sit({ ...page, stage: { at: "refused", error: said.error, retryMs }, detail }, retryMs);
  }
  if (said.status >= 400 && said.status < 500) {
    return step({ ...page, stage: { at: "failed", error: said.error }, detail });
  }
  return lose({ ...page, detail }, said.error, afterUnreachable(page), roll);
}

function onDue(page: Page, roll: number): Step {
  switch (page.stage.at) {
    case "waiting":
    case "refused":
    case "over":
      return step(page, { do: "join" });
    case "lost":
      return onLostDue(page, page.stage, roll);
    case "watching":
      return step(page, { do: "reload" }); // only a silence during a pause leaves a wake behind here
    default:
      return step(page);
  }
}

function onLostDue(page: Page, stage: Lost, roll: number): Step {
  // The same edge was asked again and neither answered nor refused: enough of it.
  if (stage.trying && stage.plan === "reload") return lose(page, stage.error, "join", roll);
  const tried = { ...page, stage: { ...stage, trying: true } };
  if (stage.plan === "join") return step(tried, { do: "join" });
  return step(tried, { do: "reload" }, { do: "wake", ms: RELOAD_MS });
}

function onMedia(page: Page, media: Media): Step {
  if (media !== "playing") return step({ ...page, media });
  // In `lost` the buffer may still be playing out: that is no sign of recovery, `flow` is.
  const failures = page.stage.at === "watching" ? 0 : page.failures;
  return step({ ...page, media, picture: true, failures });
}

function onEdge(page: Page, what: "gone" | "silent" | "broken", roll: number): Step {
  if (page.stage.at === "lost") {
    // A broken edge fails many requests; they are one failure. Once asked, the manager's answer decides.
    if (what === "gone" && page.stage.plan === "reload") return lose(page, "edge_gone", "join", roll);
    if (!page.stage.trying || page.stage.plan === "join") return step(page);
  } else if (page.stage.at !== "watching") return step(page);
  if (label(page) === "ended") {
    // What has been played to its end needs nobody; only to hear of a new start a place is needed.
    return what === "gone" && page.publisher === "ended" ? over(page, roll) : step(page);
  }
  if (what === "broken" && page.failures >= BROKEN_MAX) {
    return step({ ...page, stage: { at: "failed", error: "cannot_play" }, detail: "" }, { do: "unload" });
  }
  if (what === "silent" && page.stage.at === "watching" && page.publisher === "paused") {
    return step(page, { do: "wake", ms: PAUSED_RELOAD_MS });
  }
  return lose(page, `edge_${what}`, what === "silent" && page.failures % 2 === 0 ? "reload" : "join", roll);
}

function onFlow(page: Page): Step {
  if (page.stage.at !== "lost") return step(page);
  // Bytes are no picture yet: the failures are forgotten once it plays.
  return step({ ...page, stage: { at: "watching" }, detail: "" }, { do: "rest" });
}

function onPublisher(page: Page, publisher: Publisher): Step {
  const back = label(page) === "ended" && page.publisher === "ended" && publisher === "live";
  const started = { ...page, publisher };
  return back ? step({ ...started, stage: { at: "connecting" }, media: "starting" }, { do: "join" }) : step(started);
}

function onAgain(page: Page, roll: number): Step {
  switch (label(page)) {
    case "blocked":
    case "stopped":
      return step(page, { do: "play" });
    case "ended":
      return page.stage.at === "over" ? step(page, { do: "join" }) : step(page, { do: "replay" });
    case "waiting":
    case "refused":
      return step(page, { do: "join" });
    case "lost":
      return onLostDue(page, { ...(page.stage as Lost), plan: "join" }, roll);
    case "denied":
    case "failed":
      return step({ ...page, stage: { at: "connecting" }, failures: 0 }, { do: "join" });
    default:
      return step(page);
  }
}

function wait(page: Page, known: boolean, afterS: number, roll: number): Step {
  const retryMs = spread(afterS * 1000, roll);
  return sit({ ...page, stage: { at: "waiting", known, retryMs } }, retryMs);
}

function over(page: Page, roll: number): Step {
  const last = page.stage.at === "over" ? page.stage.retryMs : OVER_MS / 2;
  const retryMs = spread(Math.min(2 * last, OVER_MS_MAX), roll);
  return sit({ ...page, stage: { at: "over", retryMs } }, retryMs);
}

/** Without a place there is nothing to fetch: a player left from before must stop asking. */
function sit(page: Page, ms: number): Step {
  const wake: Effect = { do: "wake", ms };
  return page.picture ? step(page, { do: "unload" }, wake) : step(page, wake);
}

function lose(page: Page, error: string, plan: Plan, roll: number): Step {
  const retryMs = backoffMs(page.failures, roll);
  const stage: Stage = { at: "lost", error, retryMs, plan, trying: false };
  return step({ ...page, stage, failures: page.failures + 1 }, { do: "wake", ms: retryMs });
}

/** Edges honour sessions while the manager is away, so between two joins the old edge is tried again. */
function afterUnreachable(page: Page): Plan {
  return page.picture && page.failures % 2 === 1 ? "reload" : "join";
}

/** Never earlier than asked for, and up to a quarter later, so that a crowd does not come back as one. */
function spread(ms: number, roll: number): number {
  return Math.round(ms * (1 + roll / 4));
}

/** Full jitter over the upper half: quick at first, patient later. */
function backoffMs(failures: number, roll: number): number {
  const ceiling = Math.min(BACKOFF_MS * 2 ** failures, BACKOFF_MS_MAX);
  return Math.round((ceiling * (1 + roll)) / 2);
}

function step(page: Page, ...effects: Effect[]): Step {
  return { page, effects };
}
