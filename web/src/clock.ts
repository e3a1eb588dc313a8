// What time is it on the server?
// Each answer of state.json is a sample: the server's clock lay somewhere between our asking and our hearing, so its
// offset is taken at the midpoint and is wrong by at most half the round trip. The sample with the least round trip
// wins; samples are few and old ones fall out, so that a step of this machine's clock heals within a minute or two.

export interface Sample {
  /** server clock − local clock, ms */
  offsetMs: number;
  rttMs: number;
}

/** At one sample per 2.5 s: about a minute and a half. */
const KEPT = 36;

export function sample(sentMs: number, heardMs: number, serverMs: number): Sample {
  return { offsetMs: serverMs - (sentMs + heardMs) / 2, rttMs: heardMs - sentMs };
}

export function withSample(kept: readonly Sample[], fresh: Sample): Sample[] {
  return [...kept, fresh].slice(-KEPT);
}

/** null until the server has been heard once. */
export function offsetMs(kept: readonly Sample[]): number | null {
  let best: Sample | null = null;
  for (const one of kept) if (!best || one.rttMs <= best.rttMs) best = one;
  return best ? best.offsetMs : null;
}
