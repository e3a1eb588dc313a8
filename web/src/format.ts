// How are numbers written for people? Pure; units are in the names; null is "–".

const NONE = "–";

/** 3 → "0:03", 3723 → "1:02:03" */
export function time(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const h = Math.floor(whole / 3600);
  const m = Math.floor((whole % 3600) / 60);
  const s = String(whole % 60).padStart(2, "0");
  return h > 0 ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
}

/** For screen readers: "1 hour 2 minutes 3 seconds". */
export function spokenTime(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [count(Math.floor(whole / 3600), "hour"), count(Math.floor((whole % 3600) / 60), "minute")];
  return [...parts, count(whole % 60, "second")].filter(Boolean).join(" ") || "0 seconds";
}

export function seconds(value: number | null): string {
  return value === null ? NONE : `${value.toFixed(value < 9.95 ? 1 : 0)} s`;
}

export function bitrate(bps: number | null): string {
  if (bps === null) return NONE;
  if (bps < 999_500) return `${Math.round(bps / 1000)} kbit/s`;
  return `${(bps / 1e6).toFixed(bps < 9.95e6 ? 1 : 0)} Mbit/s`;
}

export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  if (value < 999_500) return `${Math.round(value / 1000)} kB`;
  if (value < 999.5e6) return `${(value / 1e6).toFixed(1)} MB`;
  return `${(value / 1e9).toFixed(2)} GB`;
}

function count(n: number, unit: string): string {
  return n === 0 ? "" : `${n} ${unit}${n === 1 ? "" : "s"}`;
}
