// How fast should a live player play? A little faster when it is further behind than the mesh promises, a little slower when
// it is ahead of that: what it needs would not be there in time. hls.js knows only the first half, so all of it is here. Pure.

/** As fast as the engine thinks that those catch up who are behind. */
const FASTEST = 1.1;
/** With pitch kept, nobody hears it. */
const SLOWEST = 0.95;
/** Within this nothing is done. */
const SLACK_S = 0.08;
const SLACK_AHEAD_S = 0.15;
/** Catching up on this little would end in a stall. */
const BUFFER_S_MIN = 0.8;
/** Who is so far behind is there on purpose. */
const APART_S = 4;

/** `distance`: seconds behind where it should be, negative ahead of it. */
export function pace(distance: number, bufferS: number): number {
  if (distance > SLACK_S && distance < APART_S && bufferS > BUFFER_S_MIN) return distance > 0.25 ? FASTEST : 1.05;
  return distance < -SLACK_AHEAD_S ? SLOWEST : 1;
}
