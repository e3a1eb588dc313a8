// What does each key do? Keys belong to the focused control first: buttons keep Space and Enter, sliders their arrows.
import type { Session } from "../session";
import { setVolume, toggleMute } from "./bar";
import { dialogOpen, toggleHelp } from "./dialogs";
import { panelOpen, togglePanel } from "./panel";
import { toggleFull } from "./window";

const SEEK_S = 5;
const VOLUME_STEP = 0.1;

export function setUpKeys(session: Session): void {
  const { video } = session;
  const actions: Record<string, () => void> = {
    " ": () => session.togglePlay(),
    k: () => session.togglePlay(),
    m: () => toggleMute(video),
    f: () => void toggleFull(video),
    l: () => session.goLive(),
    i: togglePanel,
    "?": toggleHelp,
    ArrowLeft: () => session.seek(video.currentTime - SEEK_S),
    ArrowRight: () => session.seek(video.currentTime + SEEK_S),
    ArrowUp: () => setVolume(video, (video.muted ? 0 : video.volume) + VOLUME_STEP),
    ArrowDown: () => setVolume(video, (video.muted ? 0 : video.volume) - VOLUME_STEP),
    Escape: () => panelOpen() && togglePanel(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialogOpen()) return;
    if (belongsToFocus(event)) return;
    const act = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function belongsToFocus(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  if (target.tagName === "TEXTAREA") return true;
  if (target.tagName === "BUTTON") return event.key === " ";
  return target.tagName === "INPUT" && event.key.startsWith("Arrow");
}
