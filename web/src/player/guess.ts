// Which rung may the very first request ask for? Too high a guess costs seconds of waiting on a slow line, too low a
// guess costs a blurred start on a fast one. The page has just downloaded the player itself, which is the best probe
// there is; from the cache it tells nothing, so then what was measured last time counts, then what the browser says.

export interface Hints {
  /** The player's own download: bytes on the wire (0 from the cache) and how long they took. */
  download: { bytes: number; ms: number } | null;
  rememberedBps: number | null;
  /** navigator.connection.downlink, Mbit/s; Chromium only, rounded and capped by it. */
  downlinkMbps: number | null;
}

/** Middle of a common ladder; parts are short, so a wrong guess is corrected within a second or two. */
const DEFAULT_BPS = 3_000_000;
/** Less than this was latency rather than bandwidth. */
const PROBE_BYTES_MIN = 50_000;
/** The media's connection starts cold and shares the line with other requests. */
const CAUTION = 0.8;
const MEMORY = "trellis.bandwidth";

/** Pure. bits per second */
export function firstGuess({ download, rememberedBps, downlinkMbps }: Hints): number {
  if (download && download.bytes >= PROBE_BYTES_MIN) {
    return Math.round((CAUTION * download.bytes * 8 * 1000) / Math.max(download.ms, 1));
  }
  if (rememberedBps) return Math.round(CAUTION * rememberedBps);
  return downlinkMbps ? Math.round(CAUTION * downlinkMbps * 1e6) : DEFAULT_BPS;
}

/** `script` is the address of the file whose download is the probe. */
export function readHints(script: string): Hints {
  const entry = performance.getEntriesByName(script)[0] as PerformanceResourceTiming | undefined;
  const connection = (navigator as { connection?: { downlink?: number } }).connection;
  return {
    download: entry ? { bytes: entry.transferSize, ms: entry.responseEnd - entry.responseStart } : null,
    rememberedBps: remembered(),
    downlinkMbps: connection?.downlink ?? null,
  };
}

export function remember(bps: number | null): void {
  try {
    if (bps) localStorage.setItem(MEMORY, String(Math.round(bps)));
  } catch {
    // Storage may be forbidden; the next visit guesses again.
  }
}

function remembered(): number | null {
  try {
    return Number(localStorage.getItem(MEMORY)) || null;
  } catch {
    return null;
  }
}
