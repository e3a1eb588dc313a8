// What must something be able to do to play a stream here? Two can: hls.js (player/hls.ts) and, where there is no
// Media Source Extensions, the browser itself (player/native.ts). Both speak in the same few events.
import type { Admission as MeshAdmission, MeshStats, P2p, Past } from "../../sdk/src/index";
import type { Admission } from "../page";

/** One quality of the ladder. `id` is the player's own. */
export interface Rung {
  id: number;
  height: number;
  bitrate: number;
}

/** Where to begin: at the live edge (or the start of a recording), at a position, or at a wall clock time. */
export type From = { at: "default" } | { at: "seconds"; seconds: number } | { at: "date"; ms: number };

export interface Player {
  load(admission: Admission, from: From): void;
  /** Ask the same edge again, keeping what is buffered. */
  reload(): void;
  unload(): void;
  /** Best first; empty when the player does not say. */
  rungs(): Rung[];
  /** The one being shown. */
  current(): Rung | null;
  /** null when chosen automatically. */
  chosen(): number | null;
  choose(id: number | null): void;
  /** A stream that may still grow. null until known. */
  live(): boolean | null;
  /** What can be sought, in media seconds. */
  range(): { start: number; end: number } | null;
  /** Where a viewer at the live edge should be, media seconds. */
  liveSync(): number | null;
  /** Programme date at the playhead, ms since 1970. */
  dateMs(): number | null;
  /** bits per second */
  bandwidth(): number | null;
  /** Media body bytes received. */
  bytes(): number;
  /** Where they came from; null when the player does not know. */
  mesh(): MeshStats | null;
  /** Other viewers bring what is needed: an edge that is silent is no reason to stop. */
  carries(): boolean;
  /** What was recorded, if anything was to be. */
  tape(): Uint8Array;
  /** The viewer's mind about giving changed. */
  wish(p2p: P2p | null): void;
  /** The page is left. */
  leave(): void;
}

/** What the viewer, and the page for them, has to do with the mesh. */
export interface Wishes {
  p2p: P2p | null;
  /** What the engine lives through is recorded, up to so many bytes. */
  tapeBytes: number;
  /** Joins once more, for an edge in place of those that are lost or had no room. */
  join(past: Past): Promise<MeshAdmission | null>;
  /** The place is at another edge now. */
  moved(hls: string): void;
}

export type PlayerEvent =
  | { is: "edge"; what: "gone" | "silent" | "broken" }
  /** Bytes or playlists came in. */
  | { is: "flow" };
