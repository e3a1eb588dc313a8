// When do the controls step back? After a few quiet seconds of playing; any movement, key or touch brings them back,
// and they stay while something is open, focused by keyboard, or needs reading.
import { label } from "../page";
import type { Session } from "../session";
import { dialogOpen } from "./dialogs";
import { qualityOpen } from "./quality";

const QUIET_MS = 2_800;
let movedMs = performance.now();

export function setUpIdle(session: Session, stage: HTMLElement): void {
  const wake = () => (movedMs = performance.now());
  for (const name of ["pointermove", "pointerdown", "keydown", "focusin"]) document.addEventListener(name, wake);
  document.addEventListener("pointerleave", () => (movedMs = 0));
  stage.addEventListener("click", (event) => {
    if ((event.target as Element).closest("button, .card, .panel")) return;
    // A mouse click plays and pauses; a tap only shows the controls, as fingers hide what they touch.
    if ((event as PointerEvent).pointerType !== "touch") session.togglePlay();
  });
}

export function isIdle(session: Session): boolean {
  if (label(session.page) !== "playing" || dialogOpen() || qualityOpen()) return false;
  if (document.querySelector(".bar :focus-visible, .top :focus-visible, .bar:hover")) return false;
  return performance.now() - movedMs > QUIET_MS;
}
