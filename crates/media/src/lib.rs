//! What media looks like: fragmented MP4 as it comes in, CMAF as it goes out, codecs, timelines and playlists.

pub mod cmaf;
pub mod codec;
pub mod fmp4;
pub mod playlist;
pub mod silence;
pub mod timeline;
