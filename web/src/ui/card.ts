// What stands over the picture? The message card with its countdown ring, the spinner, the big play button, and the
// offer of sound.
import type { Session } from "../session";
import { label } from "../page";
import { announcement, words, type Words } from "../words";
import { byId, setAttr, setHidden, setText } from "./dom";

const card = byId("card");
const title = byId("card-title");
const text = byId("card-text");
const detail = byId("card-detail");
const button = byId<HTMLButtonElement>("card-button");
const ring = byId<SVGCircleElement>("ring");
const ringText = byId<SVGTextElement>("ring-text");
const bigPlay = byId("big-play");
const unmute = byId("unmute");
const status = byId("status");

export function setUpCard(session: Session): void {
  button.addEventListener("click", () => session.press());
  bigPlay.addEventListener("click", () => session.press());
  unmute.addEventListener("click", () => {
    session.video.muted = false;
    if (session.video.volume === 0) session.video.volume = 1;
  });
}

export function drawCard(session: Session): void {
  const { page } = session;
  const facts = { stream: session.stream, replay: session.timeline().kind !== "none" };
  const said = words(page, facts);
  setHidden(card, said === null);
  if (said) fill(said, session.wakeAtMs);
  setHidden(bigPlay, label(page) !== "blocked");
  setHidden(unmute, !session.screen.mutedByBrowser || !["playing", "buffering", "paused"].includes(label(page)));
  setAttr(button, "aria-disabled", String(!session.mayPress())); // `disabled` would take the focus away
  setText(status, announcement(page, facts));
}

function fill(said: Words, wakeAtMs: number | null): void {
  setAttr(card, "data-tone", said.tone);
  setText(title, said.title);
  setText(text, said.text);
  setText(detail, said.detail);
  setHidden(detail, said.detail === "");
  setHidden(button, said.button === null);
  setText(button, said.button ?? "");
  countDown(said.countdown ? wakeAtMs : null);
}

let span = 0;
let spanOf: number | null = null;

/** The ring empties from when the wait was set to when it ends. */
function countDown(wakeAtMs: number | null): void {
  const left = wakeAtMs === null ? 0 : Math.max(0, wakeAtMs - performance.now());
  if (wakeAtMs !== spanOf) [span, spanOf] = [left, wakeAtMs];
  setAttr(card, "data-counting", String(wakeAtMs !== null));
  setText(ringText, wakeAtMs === null ? "" : String(Math.ceil(left / 1000)));
  setAttr(ring, "stroke-dashoffset", wakeAtMs === null ? "0" : String(100 - (100 * left) / (span || 1)));
}
