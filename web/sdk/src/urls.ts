// What does an address below …/s/{stream}/ name? Pure.

/** `v1` of …/v1.m3u8; null for others, such as the multivariant playlist. */
export function renditionOf(url: string): string | null {
  return /\/([va]\d{1,2})\.m3u8(?:\?|$)/.exec(url)?.[1] ?? null;
}

/** An init segment (`init`), a part (`p`) or a segment (`s`). */
export interface MediaName {
  run: string;
  rendition: string;
  kind: string;
  number: number;
}

/** What a media address names. */
export function mediaOf(url: string): MediaName | null {
  const match = /\/([0-9a-f]{16})\/([va]\d{1,2})\/(?:(init)\.mp4|([ps])(\d+)\.m4s)(?:\?|$)/.exec(url);
  if (!match) return null;
  const [, run = "", rendition = "", init, kind, number] = match;
  return { run, rendition, kind: init ?? kind ?? "", number: Number(number ?? 0) };
}
