// Which stream does this address ask for, and with what right?
// Pure: an address in, a Route out. The token never survives in `cleanUrl`.

import { readP2p, type P2p } from "../sdk/src/policy";

export interface Route {
  /** A valid stream name, or null when the address names none. */
  stream: string | null;
  token: string | null;
  /** Inside an iframe: the player alone, without the page around it. */
  embed: boolean;
  /** What is to be given to other viewers, when the address says so. */
  p2p: P2p | null;
  /** The engine's life is recorded for `window.trellis.tape()`. */
  record: boolean;
  /** What the address bar may show. */
  cleanUrl: string;
}

const STREAM = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const DEFAULT_STREAM = "demo";

export function readRoute(href: string): Route {
  const url = new URL(href);
  const token = url.searchParams.get("token") || null;
  url.searchParams.delete("token");
  const name = /^\/watch\/([^/]*)\/?$/.exec(url.pathname)?.[1] ?? url.searchParams.get("stream");
  return {
    stream: validName(name ?? DEFAULT_STREAM),
    token,
    embed: url.searchParams.get("embed") === "1",
    p2p: readP2p(url.searchParams.get("p2p")),
    record: url.searchParams.get("record") === "1",
    cleanUrl: url.pathname + url.search + url.hash,
  };
}

function validName(name: string): string | null {
  return STREAM.test(name) ? name : null;
}
