/* tslint:disable */
/* eslint-disable */

/**
 * What to begin with, filled in field by field.
 */
export class Options {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * How far behind the live edge to begin, and chance.
     */
    begin(behind_ms: number, seed_high: number, seed_low: number): void;
    /**
     * What may be given: never more than `cap_bps` (0: no cap), or nothing; and what was given last time (0: not known).
     */
    give(cap_bps: number, receive_only: boolean, declared_bps: number): void;
    /**
     * For a stream, by the ticket's bytes and the key its tables are signed with (32 bytes).
     */
    constructor(stream: string, ticket: Uint8Array | number[], origin_key: Uint8Array | number[]);
    /**
     * What is watched is a recording.
     */
    of_recording(): void;
    /**
     * Records what the peer lives through, up to so many bytes.
     */
    record(bytes_max: number): void;
    /**
     * What to watch, such as `v1 a0`, of a ladder with so many videos.
     */
    watch(renditions: string, videos: number): void;
    /**
     * No data channel can be made here.
     */
    without_links(): void;
}

/**
 * The engine.
 */
export class PeerEngine {
    private constructor();
    free(): void;
    [Symbol.dispose](): void;
    /**
     * α, bit/s.
     */
    alpha_bps(): number;
    /**
     * The bytes to send; once.
     */
    bytes(): Uint8Array;
    /**
     * Is this the init segment that was signed? Undefined: not known yet.
     */
    check_init(run: string, rendition: string, bytes: Uint8Array | number[]): boolean | undefined;
    /**
     * A signal's step, or why it is closed (the reasons of `spec/wire.md` §11.2).
     */
    code(): number;
    /**
     * A link stands; 0 is the edge.
     */
    connected(now_us: number, peer: number): void;
    /**
     * In this order: bytes from the edge, from peers, to peers, of control, that came in vain; chunks that came twice,
     * rescued, pulled; parents changed, parts missed, peers cut off; chunks of the first fill.
     */
    counts(): Float64Array;
    /**
     * The player has a part (`p`) or all parts of a segment (`s`) from elsewhere: what came of them came in vain.
     */
    elsewhere(run: string, rendition: string, kind: string, number: number): void;
    /**
     * Looks for a part (`p`) or a segment (`s`): 0 it is elsewhere, 1 it is on its way, 2 it is here, and `take` gives it.
     */
    find(run: string, rendition: string, kind: string, number: number): number;
    /**
     * Is a segment listed (part below 0), or a part of it? 0 not yet, 1 yes, 2 it is too far ahead.
     */
    has(msn: number, part: number): number;
    /**
     * H, ms.
     */
    hold_back_ms(): number;
    /**
     * Is it a recording?
     */
    is_recording(): boolean;
    /**
     * Has anything been told of what there is?
     */
    knows(): boolean;
    /**
     * The viewer goes.
     */
    leave(now_us: number): void;
    /**
     * Is anything listed?
     */
    lists(): boolean;
    /**
     * How long a part (`p`) or all parts of a segment (`s`) took to come, ms; below 0: nobody noted it.
     */
    load_ms(run: string, kind: string, number: number): number;
    /**
     * A link broke, or could not be made.
     */
    lost(now_us: number, peer: number): void;
    /**
     * A message came.
     */
    message(now_us: number, from: number, bytes: Uint8Array | number[]): void;
    /**
     * A signal's dial, or after how many seconds to ask again for a place; of a rescue the part.
     */
    number(): number;
    /**
     * A segment of a recording that came from the edge: others may have it from here.
     */
    offer(now_us: number, run: string, rendition: string, number: number, bytes: Uint8Array | number[]): void;
    /**
     * Whom the action is about.
     */
    peer(): number;
    /**
     * Where the player is: PROGRAM-DATE-TIME at the playhead, ms since 1970, and what it has from there on, ms; stopped by
     * its viewer?
     */
    player(now_us: number, date_ms: number, buffer_ms: number, paused: boolean): void;
    /**
     * A rendition's media playlist from the first segment listed here on.
     */
    playlist(rendition: string): string | undefined;
    /**
     * Takes the next action: 0 none, 1 send, 2 connect, 3 disconnect, 4 signal, 5 admitted, 6 switched, 7 rescue,
     * 8 cut off, 9 closed.
     */
    poll(): number;
    /**
     * A newer ticket.
     */
    renew(now_us: number, ticket: Uint8Array | number[]): void;
    /**
     * Tells a peer something about a link: step 1 offer, 2 answer, 3 candidate, 4 hang-up.
     */
    signal(peer: number, step: number, dial: number, text: string): void;
    /**
     * Undefined: the options are not good (a stream's name, a key).
     */
    static start(options: Options, now_us: number): PeerEngine | undefined;
    /**
     * The player wants these renditions, such as `v1 a0`.
     */
    switch(now_us: number, renditions: string): void;
    /**
     * What `find` found.
     */
    take(): Uint8Array;
    /**
     * What was recorded, for `trellis sim replay`.
     */
    tape(): Uint8Array;
    /**
     * A signal's text.
     */
    text(): string;
    /**
     * So many bytes handed to a link have not left.
     */
    unsent(now_us: number, peer: number, bytes: number): void;
    /**
     * What may be given from now on; a cap of 0 is none.
     */
    upload(now_us: number, cap_bps: number, receive_only: boolean): void;
    /**
     * Moves whenever an answer of `has` or `find` may be another one.
     */
    version(): number;
    /**
     * Time passed.
     */
    wake(now_us: number): void;
    /**
     * When to call `wake`, µs; infinity: not before something else happens.
     */
    wake_at(): number;
    /**
     * The renditions that are watched, by position in the catalogue.
     */
    watches(): Uint8Array;
    /**
     * How far back playlists reach, s; 0 before the first catalogue.
     */
    window_s(): number;
}

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly __wbg_options_free: (a: number, b: number) => void;
    readonly __wbg_peerengine_free: (a: number, b: number) => void;
    readonly options_begin: (a: number, b: number, c: number, d: number) => void;
    readonly options_give: (a: number, b: number, c: number, d: number) => void;
    readonly options_new: (a: number, b: number, c: number, d: number, e: number, f: number) => number;
    readonly options_of_recording: (a: number) => void;
    readonly options_record: (a: number, b: number) => void;
    readonly options_watch: (a: number, b: number, c: number, d: number) => void;
    readonly options_without_links: (a: number) => void;
    readonly peerengine_alpha_bps: (a: number) => number;
    readonly peerengine_bytes: (a: number) => [number, number];
    readonly peerengine_check_init: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => number;
    readonly peerengine_code: (a: number) => number;
    readonly peerengine_connected: (a: number, b: number, c: number) => void;
    readonly peerengine_counts: (a: number) => [number, number];
    readonly peerengine_elsewhere: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => void;
    readonly peerengine_find: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => number;
    readonly peerengine_has: (a: number, b: number, c: number) => number;
    readonly peerengine_hold_back_ms: (a: number) => number;
    readonly peerengine_is_recording: (a: number) => number;
    readonly peerengine_knows: (a: number) => number;
    readonly peerengine_leave: (a: number, b: number) => void;
    readonly peerengine_lists: (a: number) => number;
    readonly peerengine_load_ms: (a: number, b: number, c: number, d: number, e: number, f: number) => number;
    readonly peerengine_lost: (a: number, b: number, c: number) => void;
    readonly peerengine_message: (a: number, b: number, c: number, d: number, e: number) => void;
    readonly peerengine_number: (a: number) => number;
    readonly peerengine_offer: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number) => void;
    readonly peerengine_peer: (a: number) => number;
    readonly peerengine_player: (a: number, b: number, c: number, d: number, e: number) => void;
    readonly peerengine_playlist: (a: number, b: number, c: number) => [number, number];
    readonly peerengine_poll: (a: number) => number;
    readonly peerengine_renew: (a: number, b: number, c: number, d: number) => void;
    readonly peerengine_signal: (a: number, b: number, c: number, d: number, e: number, f: number) => void;
    readonly peerengine_start: (a: number, b: number) => number;
    readonly peerengine_switch: (a: number, b: number, c: number, d: number) => void;
    readonly peerengine_take: (a: number) => [number, number];
    readonly peerengine_tape: (a: number) => [number, number];
    readonly peerengine_text: (a: number) => [number, number];
    readonly peerengine_unsent: (a: number, b: number, c: number, d: number) => void;
    readonly peerengine_upload: (a: number, b: number, c: number, d: number) => void;
    readonly peerengine_version: (a: number) => number;
    readonly peerengine_wake: (a: number, b: number) => void;
    readonly peerengine_wake_at: (a: number) => number;
    readonly peerengine_watches: (a: number) => [number, number];
    readonly peerengine_window_s: (a: number) => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __wbindgen_malloc: (a: number, b: number) => number;
    readonly __wbindgen_realloc: (a: number, b: number, c: number, d: number) => number;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path?: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
