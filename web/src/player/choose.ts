// Which player does this browser get? hls.js wherever Media Source Extensions are, else the browser's own, else none.
// This file is the lazy boundary: it arrives beside the answer to the join, not before it.
import { HlsPlayer, hlsSupported } from "./hls";
import { NativePlayer, nativeSupported } from "./native";
import type { Player, PlayerEvent, Wishes } from "./player";

export function choosePlayer(video: HTMLVideoElement, tell: (event: PlayerEvent) => void, wishes: Wishes): Player | null {
  if (hlsSupported()) return new HlsPlayer(video, tell, wishes);
  if (nativeSupported(video)) return new NativePlayer(video, tell);
  return null;
}
