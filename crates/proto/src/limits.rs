//! Every bound of the wire format. Related bounds are asserted against each other below.

/// Longest stream name, in bytes.
pub const STREAM_NAME_BYTES_MAX: usize = 64;
/// Longest edge name inside a ticket, in bytes.
pub const EDGE_NAME_BYTES_MAX: usize = 64;
/// Longest RFC 6381 codec string, in bytes.
pub const CODECS_BYTES_MAX: usize = 64;
/// Longest language tag, in bytes.
pub const LANGUAGE_BYTES_MAX: usize = 16;
/// Longest window of a live stream, in seconds: a day.
pub const WINDOW_S_MAX: u32 = 86_400;
/// Most renditions of one run, video and audio together.
pub const RENDITIONS_MAX: usize = 16;
/// Most layers of one rendition.
pub const LAYERS_MAX: usize = 4;
/// Most substreams of one layer (K).
pub const SUBSTREAMS_MAX: u8 = 16;
/// A chunk and its frame header fit one 16 KiB data channel message.
pub const CHUNK_BYTES_MAX: usize = 16 * 1024 - 64;
/// Largest layer of one part, in bytes: 0.5 s at 128 Mbit/s.
pub const PART_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most chunks of one layer of one part.
pub const CHUNKS_MAX: usize = 1024;
/// Largest init segment, in bytes.
pub const INIT_BYTES_MAX: usize = 64 * 1024;
/// Largest signed table, in bytes, signature included.
pub const TABLE_BYTES_MAX: usize = 64 * 1024;
/// Largest ticket, in bytes, signature included.
pub const TICKET_BYTES_MAX: usize = 256;
/// Parts and segments a run can count.
pub const NUMBER_MAX: u64 = 1 << 40;
/// Highest rate anybody may state, in bit/s.
pub const RATE_MAX: u64 = 1 << 40;
/// Longest time on a stream's time line, in µs.
pub const TIME_US_MAX: u64 = 1 << 56;
/// Longest message of a link, in bytes: the longest signed table after its kind.
pub const FRAME_BYTES_MAX: usize = 1 + TABLE_BYTES_MAX;
/// Longest frame header of a chunk, in bytes: kind, run, part, layer, number, hops.
pub const CHUNK_HEADER_BYTES_MAX: usize = 1 + 8 + 6 + 1 + 2 + 1;
/// Longest SDP or list of candidates, in bytes.
pub const SIGNAL_BYTES_MAX: usize = 4096;
/// Most rows of a have, want, cancel or deny.
pub const ROWS_MAX: usize = 64;
/// Most descriptors asked for at once.
pub const ASK_MAX: u8 = 64;
/// Most layers, or sets of substreams, in one list: one for every layer there can be.
pub const LAYER_LIST_MAX: usize = RENDITIONS_MAX * LAYERS_MAX;
/// Most peers in one list.
pub const PEER_LIST_MAX: usize = 64;
/// Most sources in one plan; what is more comes with the next.
pub const TAKES_MAX: usize = 256;
/// Most takers in one plan; what is more comes with the next.
pub const GIVES_MAX: usize = 512;
/// Most givers one report tells of.
pub const RECEIPTS_MAX: usize = 256;
/// Most complaints of one report.
pub const COMPLAINTS_MAX: usize = 64;

const _: () = assert!(CHUNK_HEADER_BYTES_MAX + CHUNK_BYTES_MAX <= 16 * 1024);
const _: () = assert!(CHUNKS_MAX.is_multiple_of(64));
// Rows of all words, each word a varint of ten bytes, still fit one data channel message.
const _: () = assert!(2 + ROWS_MAX * (1 + 8 + 6 + 1 + 10 * CHUNKS_MAX / 64) <= 16 * 1024);
const _: () = assert!(64 + TAKES_MAX * 14 + GIVES_MAX * 12 + 5 * PEER_LIST_MAX + LAYER_LIST_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(64 + RECEIPTS_MAX * 18 + COMPLAINTS_MAX * 6 <= FRAME_BYTES_MAX);
const _: () = assert!(PART_BYTES_MAX.div_ceil(CHUNK_BYTES_MAX) + SUBSTREAMS_MAX as usize <= CHUNKS_MAX);
const _: () = assert!(64 + 2 + STREAM_NAME_BYTES_MAX + EDGE_NAME_BYTES_MAX + 16 + 33 <= TICKET_BYTES_MAX);
