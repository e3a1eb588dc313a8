//! An edge's viewers of one stream.

pub mod event;

pub use event::{Chunks, Event, Input, LinkId, Locality, Output};
