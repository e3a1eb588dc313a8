//! What is said between the parts of Trellis, as types and as bytes.
//!
//! `spec/wire.md` is the norm; this crate is its only implementation in Rust. Decoders are strict: every
//! length is bounded before anything is allocated, trailing bytes are an error, and two different byte
//! strings never decode to the same value.
#![no_std]

extern crate alloc;

pub mod catalogue;
pub mod descriptor;
pub mod end;
pub mod frame;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod id;
pub mod limits;
pub mod signal;
pub mod table;
pub mod ticket;
pub mod wire;

pub use catalogue::{Catalogue, Layer, Media, Mode, Rendition};
pub use descriptor::{Descriptor, LayerPart, TrackPart};
pub use end::{EndReason, RunEnd};
pub use id::{ChunkHash, Hash, IdError, PublicKey, RenditionName, RunId, SessionId, Signature, StreamId};
pub use table::{Table, signed_part};
pub use ticket::{Class, P2p, Ticket};
pub use wire::DecodeError;
