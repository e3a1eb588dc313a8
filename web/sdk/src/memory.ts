// What did this viewer's uplink give last time? The cluster counts on it until it is seen again.

const MEMORY = "trellis.uplink";

/** bit/s; 0: not known */
export function rememberedUplink(): number {
  try {
    return Number(localStorage.getItem(MEMORY)) || 0;
  } catch {
    return 0;
  }
}

export function rememberUplink(bps: number): void {
  try {
    if (bps > 0) localStorage.setItem(MEMORY, String(Math.round(bps)));
  } catch {
    // Storage may be forbidden; the next visit begins without.
  }
}
