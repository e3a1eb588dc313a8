// What has this viewer said about giving to others? Kept from visit to visit; an address that says it overrules that.
import { readP2p, type P2p } from "../sdk/src/policy";

const MEMORY = "trellis.p2p";

export function keptWish(): P2p | null {
  try {
    return readP2p(localStorage.getItem(MEMORY));
  } catch {
    return null;
  }
}

/** null: the device decides by itself again. */
export function keepWish(wish: P2p | null): void {
  try {
    if (wish) localStorage.setItem(MEMORY, wish);
    else localStorage.removeItem(MEMORY);
  } catch {
    // Storage may be forbidden; it holds for this visit then.
  }
}
