//! Tables the origin signs: catalogue, descriptor, run end. One envelope for all three.
//!
//! A table is its body (version, kind, fields) followed by the 64-byte Ed25519 signature of that body. The
//! kind inside the signed bytes keeps one kind from passing for another.

use crate::limits::TABLE_BYTES_MAX;
use crate::wire::DecodeError;
use crate::{Catalogue, Descriptor, RunEnd, Signature};

/// The wire version this build speaks.
pub const VERSION: u8 = 1;

/// One decoded table, its signature not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// What a run consists of.
    Catalogue(Catalogue),
    /// What one part time consists of.
    Descriptor(Descriptor),
    /// A run is over, for now or for good.
    RunEnd(RunEnd),
}

impl Table {
    /// Decodes a body (without signature) by its kind.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        match *body.get(1).ok_or(DecodeError::Short)? {
            Catalogue::KIND => Catalogue::decode(body).map(Self::Catalogue),
            Descriptor::KIND => Descriptor::decode(body).map(Self::Descriptor),
            RunEnd::KIND => RunEnd::decode(body).map(Self::RunEnd),
            kind => Err(DecodeError::Kind(kind)),
        }
    }
}

/// Splits a signed message into what is signed and the signature.
pub fn signed_part(message: &[u8]) -> Result<(&[u8], Signature), DecodeError> {
    if message.len() > TABLE_BYTES_MAX {
        return Err(DecodeError::Field("table"));
    }
    let (body, signature) = message.split_last_chunk::<64>().ok_or(DecodeError::Short)?;
    Ok((body, *signature))
}
