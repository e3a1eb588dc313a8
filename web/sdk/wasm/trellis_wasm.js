/* @ts-self-types="./trellis_wasm.d.ts" */

/**
 * What to begin with, filled in field by field.
 */
export class Options {
    __destroy_into_raw() {
        const ptr = this.__wbg_ptr;
        this.__wbg_ptr = 0;
        OptionsFinalization.unregister(this);
        return ptr;
    }
    free() {
        const ptr = this.__destroy_into_raw();
        wasm.__wbg_options_free(ptr, 0);
    }
    /**
     * How far behind the live edge to begin, and chance.
     * @param {number} behind_ms
     * @param {number} seed_high
     * @param {number} seed_low
     */
    begin(behind_ms, seed_high, seed_low) {
        wasm.options_begin(this.__wbg_ptr, behind_ms, seed_high, seed_low);
    }
    /**
     * What may be given: never more than `cap_bps` (0: no cap), or nothing; and what was given last time (0: not known).
     * @param {number} cap_bps
     * @param {boolean} receive_only
     * @param {number} declared_bps
     */
    give(cap_bps, receive_only, declared_bps) {
        wasm.options_give(this.__wbg_ptr, cap_bps, receive_only, declared_bps);
    }
    /**
     * For a stream, by the ticket's bytes and the key its tables are signed with (32 bytes).
     * @param {string} stream
     * @param {Uint8Array | number[]} ticket
     * @param {Uint8Array | number[]} origin_key
     */
    constructor(stream, ticket, origin_key) {
        let ptr0, len0, ptr1, len1, ptr2, len2;
        try {
            ptr0 = passStringToWasm0(stream, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = passArray8ToWasm0(ticket, wasm.__wbindgen_malloc);
            len1 = WASM_VECTOR_LEN;
            ptr2 = passArray8ToWasm0(origin_key, wasm.__wbindgen_malloc);
            len2 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr2) { wasm.__wbindgen_free(ptr2, len2 * 1, 1); }
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 1, 1); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 1, 1); }
            throw e;
        }
        const ret = wasm.options_new(ptr0, len0, ptr1, len1, ptr2, len2);
        this.__wbg_ptr = ret;
        OptionsFinalization.register(this, this.__wbg_ptr, this);
        return this;
    }
    /**
     * What is watched is a recording.
     */
    of_recording() {
        wasm.options_of_recording(this.__wbg_ptr);
    }
    /**
     * Records what the peer lives through, up to so many bytes.
     * @param {number} bytes_max
     */
    record(bytes_max) {
        wasm.options_record(this.__wbg_ptr, bytes_max);
    }
    /**
     * What to watch, such as `v1 a0`, of a ladder with so many videos.
     * @param {string} renditions
     * @param {number} videos
     */
    watch(renditions, videos) {
        const val2 = +videos;
        const ptr0 = passStringToWasm0(renditions, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
        const len0 = WASM_VECTOR_LEN;
        wasm.options_watch(this.__wbg_ptr, ptr0, len0, val2);
    }
    /**
     * No data channel can be made here.
     */
    without_links() {
        wasm.options_without_links(this.__wbg_ptr);
    }
}
if (Symbol.dispose) Options.prototype[Symbol.dispose] = Options.prototype.free;

/**
 * The engine.
 */
export class PeerEngine {
    static __wrap(ptr) {
        const obj = Object.create(PeerEngine.prototype);
        obj.__wbg_ptr = ptr;
        PeerEngineFinalization.register(obj, obj.__wbg_ptr, obj);
        return obj;
    }
    __destroy_into_raw() {
        const ptr = this.__wbg_ptr;
        this.__wbg_ptr = 0;
        PeerEngineFinalization.unregister(this);
        return ptr;
    }
    free() {
        const ptr = this.__destroy_into_raw();
        wasm.__wbg_peerengine_free(ptr, 0);
    }
    /**
     * α, bit/s.
     * @returns {number}
     */
    alpha_bps() {
        const ret = wasm.peerengine_alpha_bps(this.__wbg_ptr);
        return ret;
    }
    /**
     * The bytes to send; once.
     * @returns {Uint8Array}
     */
    bytes() {
        const ret = wasm.peerengine_bytes(this.__wbg_ptr);
        var v1 = getArrayU8FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 1, 1);
        return v1;
    }
    /**
     * Is this the init segment that was signed? Undefined: not known yet.
     * @param {string} run
     * @param {string} rendition
     * @param {Uint8Array | number[]} bytes
     * @returns {boolean | undefined}
     */
    check_init(run, rendition, bytes) {
        let ptr0, len0, ptr1, len1, ptr2, len2;
        try {
            ptr0 = passStringToWasm0(run, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = passStringToWasm0(rendition, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len1 = WASM_VECTOR_LEN;
            ptr2 = passArray8ToWasm0(bytes, wasm.__wbindgen_malloc);
            len2 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr2) { wasm.__wbindgen_free(ptr2, len2 * 1, 1); }
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 1, 1); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 1, 1); }
            throw e;
        }
        const ret = wasm.peerengine_check_init(this.__wbg_ptr, ptr0, len0, ptr1, len1, ptr2, len2);
        return ret === 0xFFFFFF ? undefined : ret !== 0;
    }
    /**
     * A signal's step, or why it is closed (the reasons of `spec/wire.md` §11.2).
     * @returns {number}
     */
    code() {
        const ret = wasm.peerengine_code(this.__wbg_ptr);
        return ret;
    }
    /**
     * A link stands; 0 is the edge.
     * @param {number} now_us
     * @param {number} peer
     */
    connected(now_us, peer) {
        wasm.peerengine_connected(this.__wbg_ptr, now_us, peer);
    }
    /**
     * In this order: bytes from the edge, from peers, to peers, of control, that came in vain; chunks that came twice,
     * rescued, pulled; parents changed, parts missed, peers cut off; chunks of the first fill.
     * @returns {Float64Array}
     */
    counts() {
        const ret = wasm.peerengine_counts(this.__wbg_ptr);
        var v1 = getArrayF64FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 8, 8);
        return v1;
    }
    /**
     * The player has a part (`p`) or all parts of a segment (`s`) from elsewhere: what came of them came in vain.
     * @param {string} run
     * @param {string} rendition
     * @param {string} kind
     * @param {number} number
     */
    elsewhere(run, rendition, kind, number) {
        const val4 = +number;
        let ptr0, len0, ptr1, len1, ptr2, len2;
        try {
            ptr0 = passStringToWasm0(run, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = passStringToWasm0(rendition, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len1 = WASM_VECTOR_LEN;
            ptr2 = passStringToWasm0(kind, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len2 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr2) { wasm.__wbindgen_free(ptr2, len2 * 1, 1); }
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 1, 1); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 1, 1); }
            throw e;
        }
        wasm.peerengine_elsewhere(this.__wbg_ptr, ptr0, len0, ptr1, len1, ptr2, len2, val4);
    }
    /**
     * Looks for a part (`p`) or a segment (`s`): 0 it is elsewhere, 1 it is on its way, 2 it is here, and `take` gives it.
     * @param {string} run
     * @param {string} rendition
     * @param {string} kind
     * @param {number} number
     * @returns {number}
     */
    find(run, rendition, kind, number) {
        const val4 = +number;
        let ptr0, len0, ptr1, len1, ptr2, len2;
        try {
            ptr0 = passStringToWasm0(run, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = passStringToWasm0(rendition, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len1 = WASM_VECTOR_LEN;
            ptr2 = passStringToWasm0(kind, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len2 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr2) { wasm.__wbindgen_free(ptr2, len2 * 1, 1); }
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 1, 1); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 1, 1); }
            throw e;
        }
        const ret = wasm.peerengine_find(this.__wbg_ptr, ptr0, len0, ptr1, len1, ptr2, len2, val4);
        return ret;
    }
    /**
     * Is a segment listed (part below 0), or a part of it? 0 not yet, 1 yes, 2 it is too far ahead.
     * @param {number} msn
     * @param {number} part
     * @returns {number}
     */
    has(msn, part) {
        const ret = wasm.peerengine_has(this.__wbg_ptr, msn, part);
        return ret;
    }
    /**
     * H, ms.
     * @returns {number}
     */
    hold_back_ms() {
        const ret = wasm.peerengine_hold_back_ms(this.__wbg_ptr);
        return ret;
    }
    /**
     * Is it a recording?
     * @returns {boolean}
     */
    is_recording() {
        const ret = wasm.peerengine_is_recording(this.__wbg_ptr);
        return ret !== 0;
    }
    /**
     * Has anything been told of what there is?
     * @returns {boolean}
     */
    knows() {
        const ret = wasm.peerengine_knows(this.__wbg_ptr);
        return ret !== 0;
    }
    /**
     * The viewer goes.
     * @param {number} now_us
     */
    leave(now_us) {
        wasm.peerengine_leave(this.__wbg_ptr, now_us);
    }
    /**
     * Is anything listed?
     * @returns {boolean}
     */
    lists() {
        const ret = wasm.peerengine_lists(this.__wbg_ptr);
        return ret !== 0;
    }
    /**
     * How long a part (`p`) or all parts of a segment (`s`) took to come, ms; below 0: nobody noted it.
     * @param {string} run
     * @param {string} kind
     * @param {number} number
     * @returns {number}
     */
    load_ms(run, kind, number) {
        const val3 = +number;
        let ptr0, len0, ptr1, len1;
        try {
            ptr0 = passStringToWasm0(run, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = passStringToWasm0(kind, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len1 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 1, 1); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 1, 1); }
            throw e;
        }
        const ret = wasm.peerengine_load_ms(this.__wbg_ptr, ptr0, len0, ptr1, len1, val3);
        return ret;
    }
    /**
     * A link broke, or could not be made.
     * @param {number} now_us
     * @param {number} peer
     */
    lost(now_us, peer) {
        wasm.peerengine_lost(this.__wbg_ptr, now_us, peer);
    }
    /**
     * A message came.
     * @param {number} now_us
     * @param {number} from
     * @param {Uint8Array | number[]} bytes
     */
    message(now_us, from, bytes) {
        const val2 = +now_us;
        const val3 = +from;
        const ptr0 = passArray8ToWasm0(bytes, wasm.__wbindgen_malloc);
        const len0 = WASM_VECTOR_LEN;
        wasm.peerengine_message(this.__wbg_ptr, val2, val3, ptr0, len0);
    }
    /**
     * A signal's dial, or after how many seconds to ask again for a place; of a rescue the part.
     * @returns {number}
     */
    number() {
        const ret = wasm.peerengine_number(this.__wbg_ptr);
        return ret;
    }
    /**
     * A segment of a recording that came from the edge: others may have it from here.
     * @param {number} now_us
     * @param {string} run
     * @param {string} rendition
     * @param {number} number
     * @param {Uint8Array | number[]} bytes
     */
    offer(now_us, run, rendition, number, bytes) {
        const val4 = +now_us;
        const val5 = +number;
        let ptr0, len0, ptr1, len1, ptr2, len2;
        try {
            ptr0 = passStringToWasm0(run, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = passStringToWasm0(rendition, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len1 = WASM_VECTOR_LEN;
            ptr2 = passArray8ToWasm0(bytes, wasm.__wbindgen_malloc);
            len2 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr2) { wasm.__wbindgen_free(ptr2, len2 * 1, 1); }
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 1, 1); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 1, 1); }
            throw e;
        }
        wasm.peerengine_offer(this.__wbg_ptr, val4, ptr0, len0, ptr1, len1, val5, ptr2, len2);
    }
    /**
     * Whom the action is about.
     * @returns {number}
     */
    peer() {
        const ret = wasm.peerengine_peer(this.__wbg_ptr);
        return ret >>> 0;
    }
    /**
     * Where the player is: PROGRAM-DATE-TIME at the playhead, ms since 1970, and what it has from there on, ms; stopped by
     * its viewer?
     * @param {number} now_us
     * @param {number} date_ms
     * @param {number} buffer_ms
     * @param {boolean} paused
     */
    player(now_us, date_ms, buffer_ms, paused) {
        wasm.peerengine_player(this.__wbg_ptr, now_us, date_ms, buffer_ms, paused);
    }
    /**
     * A rendition's media playlist from the first segment listed here on.
     * @param {string} rendition
     * @returns {string | undefined}
     */
    playlist(rendition) {
        const ptr0 = passStringToWasm0(rendition, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
        const len0 = WASM_VECTOR_LEN;
        const ret = wasm.peerengine_playlist(this.__wbg_ptr, ptr0, len0);
        let v2;
        if (ret[0] !== 0) {
            v2 = getStringFromWasm0(ret[0], ret[1]);
            wasm.__wbindgen_free(ret[0], ret[1] * 1, 1);
        }
        return v2;
    }
    /**
     * Takes the next action: 0 none, 1 send, 2 connect, 3 disconnect, 4 signal, 5 admitted, 6 switched, 7 rescue,
     * 8 cut off, 9 closed.
     * @returns {number}
     */
    poll() {
        const ret = wasm.peerengine_poll(this.__wbg_ptr);
        return ret;
    }
    /**
     * A newer ticket.
     * @param {number} now_us
     * @param {Uint8Array | number[]} ticket
     */
    renew(now_us, ticket) {
        const val2 = +now_us;
        const ptr0 = passArray8ToWasm0(ticket, wasm.__wbindgen_malloc);
        const len0 = WASM_VECTOR_LEN;
        wasm.peerengine_renew(this.__wbg_ptr, val2, ptr0, len0);
    }
    /**
     * Tells a peer something about a link: step 1 offer, 2 answer, 3 candidate, 4 hang-up.
     * @param {number} peer
     * @param {number} step
     * @param {number} dial
     * @param {string} text
     */
    signal(peer, step, dial, text) {
        const val2 = +peer;
        const val3 = +step;
        const val4 = +dial;
        const ptr0 = passStringToWasm0(text, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
        const len0 = WASM_VECTOR_LEN;
        wasm.peerengine_signal(this.__wbg_ptr, val2, val3, val4, ptr0, len0);
    }
    /**
     * Undefined: the options are not good (a stream's name, a key).
     * @param {Options} options
     * @param {number} now_us
     * @returns {PeerEngine | undefined}
     */
    static start(options, now_us) {
        _assertClass(options, Options);
        const ret = wasm.peerengine_start(options.__wbg_ptr, now_us);
        return ret === 0 ? undefined : PeerEngine.__wrap(ret);
    }
    /**
     * The player wants these renditions, such as `v1 a0`.
     * @param {number} now_us
     * @param {string} renditions
     */
    switch(now_us, renditions) {
        const val2 = +now_us;
        const ptr0 = passStringToWasm0(renditions, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
        const len0 = WASM_VECTOR_LEN;
        wasm.peerengine_switch(this.__wbg_ptr, val2, ptr0, len0);
    }
    /**
     * What `find` found.
     * @returns {Uint8Array}
     */
    take() {
        const ret = wasm.peerengine_take(this.__wbg_ptr);
        var v1 = getArrayU8FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 1, 1);
        return v1;
    }
    /**
     * What was recorded, for `trellis sim replay`.
     * @returns {Uint8Array}
     */
    tape() {
        const ret = wasm.peerengine_tape(this.__wbg_ptr);
        var v1 = getArrayU8FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 1, 1);
        return v1;
    }
    /**
     * A signal's text.
     * @returns {string}
     */
    text() {
        let deferred1_0;
        let deferred1_1;
        try {
            const ret = wasm.peerengine_text(this.__wbg_ptr);
            deferred1_0 = ret[0];
            deferred1_1 = ret[1];
            return getStringFromWasm0(ret[0], ret[1]);
        } finally {
            wasm.__wbindgen_free(deferred1_0, deferred1_1, 1);
        }
    }
    /**
     * So many bytes handed to a link have not left.
     * @param {number} now_us
     * @param {number} peer
     * @param {number} bytes
     */
    unsent(now_us, peer, bytes) {
        wasm.peerengine_unsent(this.__wbg_ptr, now_us, peer, bytes);
    }
    /**
     * What may be given from now on; a cap of 0 is none.
     * @param {number} now_us
     * @param {number} cap_bps
     * @param {boolean} receive_only
     */
    upload(now_us, cap_bps, receive_only) {
        wasm.peerengine_upload(this.__wbg_ptr, now_us, cap_bps, receive_only);
    }
    /**
     * Moves whenever an answer of `has` or `find` may be another one.
     * @returns {number}
     */
    version() {
        const ret = wasm.peerengine_version(this.__wbg_ptr);
        return ret >>> 0;
    }
    /**
     * Time passed.
     * @param {number} now_us
     */
    wake(now_us) {
        wasm.peerengine_wake(this.__wbg_ptr, now_us);
    }
    /**
     * When to call `wake`, µs; infinity: not before something else happens.
     * @returns {number}
     */
    wake_at() {
        const ret = wasm.peerengine_wake_at(this.__wbg_ptr);
        return ret;
    }
    /**
     * The renditions that are watched, by position in the catalogue.
     * @returns {Uint8Array}
     */
    watches() {
        const ret = wasm.peerengine_watches(this.__wbg_ptr);
        var v1 = getArrayU8FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 1, 1);
        return v1;
    }
    /**
     * How far back playlists reach, s; 0 before the first catalogue.
     * @returns {number}
     */
    window_s() {
        const ret = wasm.peerengine_window_s(this.__wbg_ptr);
        return ret >>> 0;
    }
}
if (Symbol.dispose) PeerEngine.prototype[Symbol.dispose] = PeerEngine.prototype.free;
function __wbg_get_imports() {
    const import0 = {
        __proto__: null,
        __wbg___wbindgen_throw_4c88d8bf264fd984: function(arg0, arg1) {
            throw new Error(getStringFromWasm0(arg0, arg1));
        },
        __wbindgen_init_externref_table: function() {
            const table = wasm.__wbindgen_externrefs;
            table.set(0, undefined);
            table.set(1024, undefined);
            table.set(1025, null);
            table.set(1026, true);
            table.set(1027, false);
        },
    };
    return {
        __proto__: null,
        "./trellis_wasm_bg.js": import0,
    };
}

const OptionsFinalization = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(ptr => wasm.__wbg_options_free(ptr, 1));
const PeerEngineFinalization = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(ptr => wasm.__wbg_peerengine_free(ptr, 1));

function _assertClass(instance, klass) {
    if (!(instance instanceof klass)) {
        throw new Error(`expected instance of ${klass.name}`);
    }
}

function getArrayF64FromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return getFloat64ArrayMemory0().subarray(ptr / 8, ptr / 8 + len);
}

function getArrayU8FromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return getUint8ArrayMemory0().subarray(ptr / 1, ptr / 1 + len);
}

let cachedFloat64ArrayMemory0 = null;
function getFloat64ArrayMemory0() {
    if (cachedFloat64ArrayMemory0 === null || cachedFloat64ArrayMemory0.byteLength === 0) {
        cachedFloat64ArrayMemory0 = new Float64Array(wasm.memory.buffer);
    }
    return cachedFloat64ArrayMemory0;
}

function getStringFromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return decodeText(getUint8ArrayMemory0().subarray(ptr, ptr + len));
}

let cachedUint8ArrayMemory0 = null;
function getUint8ArrayMemory0() {
    if (cachedUint8ArrayMemory0 === null || cachedUint8ArrayMemory0.byteLength === 0) {
        cachedUint8ArrayMemory0 = new Uint8Array(wasm.memory.buffer);
    }
    return cachedUint8ArrayMemory0;
}

function passArray8ToWasm0(arg, malloc) {
    const ptr = malloc(arg.length * 1, 1) >>> 0;
    getUint8ArrayMemory0().set(arg, ptr / 1);
    WASM_VECTOR_LEN = arg.length;
    return ptr;
}

function passStringToWasm0(arg, malloc, realloc) {
    if (realloc === undefined) {
        const buf = cachedTextEncoder.encode(arg);
        const ptr = malloc(buf.length, 1) >>> 0;
        getUint8ArrayMemory0().subarray(ptr, ptr + buf.length).set(buf);
        WASM_VECTOR_LEN = buf.length;
        return ptr;
    }

    let len = arg.length;
    let ptr = malloc(len, 1) >>> 0;

    const mem = getUint8ArrayMemory0();

    let offset = 0;

    for (; offset < len; offset++) {
        const code = arg.charCodeAt(offset);
        if (code > 0x7F) break;
        mem[ptr + offset] = code;
    }
    if (offset !== len) {
        if (offset !== 0) {
            arg = arg.slice(offset);
        }
        ptr = realloc(ptr, len, len = offset + arg.length * 3, 1) >>> 0;
        const view = getUint8ArrayMemory0().subarray(ptr + offset, ptr + len);
        const ret = cachedTextEncoder.encodeInto(arg, view);

        offset += ret.written;
        ptr = realloc(ptr, len, offset, 1) >>> 0;
    }

    WASM_VECTOR_LEN = offset;
    return ptr;
}

let cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
cachedTextDecoder.decode();
const MAX_SAFARI_DECODE_BYTES = 2146435072;
let numBytesDecoded = 0;
function decodeText(bytes) {
    numBytesDecoded += bytes.length;
    if (numBytesDecoded >= MAX_SAFARI_DECODE_BYTES) {
        cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
        cachedTextDecoder.decode();
        numBytesDecoded = bytes.length;
    }
    return cachedTextDecoder.decode(bytes);
}

const cachedTextEncoder = new TextEncoder();

if (!('encodeInto' in cachedTextEncoder)) {
    cachedTextEncoder.encodeInto = function (arg, view) {
        const buf = cachedTextEncoder.encode(arg);
        view.set(buf);
        return {
            read: arg.length,
            written: buf.length
        };
    };
}

let WASM_VECTOR_LEN = 0;

let wasmModule, wasmInstance, wasm;
function __wbg_finalize_init(instance, module) {
    wasmInstance = instance;
    wasm = instance.exports;
    wasmModule = module;
    cachedFloat64ArrayMemory0 = null;
    cachedUint8ArrayMemory0 = null;
    wasm.__wbindgen_start();
    return wasm;
}

async function __wbg_load(module, imports) {
    if (typeof Response === 'function' && module instanceof Response) {
        if (!module.ok) {
            throw new Error(`failed to fetch Wasm: ${module.status} ${module.statusText} fetching '${module.url}'`);
        }

        if (typeof WebAssembly.instantiateStreaming === 'function') {
            try {
                return await WebAssembly.instantiateStreaming(module, imports);
            } catch (e) {
                const validResponse = expectedResponseType(module.type);

                if (validResponse && module.headers.get('Content-Type') !== 'application/wasm') {
                    console.warn("`WebAssembly.instantiateStreaming` failed because your server does not serve Wasm with `application/wasm` MIME type. Falling back to `WebAssembly.instantiate` which is slower. Original error:\n", e);

                } else { throw e; }
            }
        }

        const bytes = await module.arrayBuffer();
        return await WebAssembly.instantiate(bytes, imports);
    } else {
        const instance = await WebAssembly.instantiate(module, imports);

        if (instance instanceof WebAssembly.Instance) {
            return { instance, module };
        } else {
            return instance;
        }
    }

    function expectedResponseType(type) {
        switch (type) {
            case 'basic': case 'cors': case 'default': return true;
        }
        return false;
    }
}

function initSync(module) {
    if (wasm !== undefined) return wasm;


    if (module !== undefined) {
        if (Object.getPrototypeOf(module) === Object.prototype) {
            ({module} = module)
        } else {
            console.warn('using deprecated parameters for `initSync()`; pass a single object instead')
        }
    }

    const imports = __wbg_get_imports();
    if (!(module instanceof WebAssembly.Module)) {
        module = new WebAssembly.Module(module);
    }
    const instance = new WebAssembly.Instance(module, imports);
    return __wbg_finalize_init(instance, module);
}

let __wbg_init_promise;
async function __wbg_init(module_or_path) {
    if (wasm !== undefined) return wasm;
    if (__wbg_init_promise === undefined) {
        __wbg_init_promise = __wbg_init_once(module_or_path);
        __wbg_init_promise.catch(() => { __wbg_init_promise = undefined; });
    }
    return __wbg_init_promise;
}

async function __wbg_init_once(module_or_path) {

    if (module_or_path !== undefined) {
        if (Object.getPrototypeOf(module_or_path) === Object.prototype) {
            ({module_or_path} = module_or_path)
        } else {
            console.warn('using deprecated parameters for the initialization function; pass a single object instead')
        }
    }

    if (module_or_path === undefined) {
        module_or_path = new URL('trellis_wasm_bg.wasm', import.meta.url);
    }
    const imports = __wbg_get_imports();

    if (typeof module_or_path === 'string' || (typeof Request === 'function' && module_or_path instanceof Request) || (typeof URL === 'function' && module_or_path instanceof URL)) {
        module_or_path = fetch(module_or_path);
    }

    const { instance, module } = await __wbg_load(await module_or_path, imports);

    return __wbg_finalize_init(instance, module);
}

export { initSync, __wbg_init as default };
