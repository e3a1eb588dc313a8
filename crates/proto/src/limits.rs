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

const _: () = assert!(PART_BYTES_MAX.div_ceil(CHUNK_BYTES_MAX) + SUBSTREAMS_MAX as usize <= CHUNKS_MAX);
const _: () = assert!(64 + 2 + STREAM_NAME_BYTES_MAX + EDGE_NAME_BYTES_MAX + 16 + 32 <= TICKET_BYTES_MAX);
