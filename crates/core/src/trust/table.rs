//! Was this signed by whom it should be?

use alloc::vec::Vec;

use ed25519_dalek::VerifyingKey;
use trellis_proto::{DecodeError, PublicKey, Table, Ticket, signed_part};

/// Why a signed message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// The bytes are not such a message.
    Malformed(DecodeError),
    /// The signature is not by the expected key.
    Signature,
}

impl core::fmt::Display for Distrust {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "malformed: {why}"),
            Self::Signature => f.write_str("not signed by the expected key"),
        }
    }
}

impl core::error::Error for Distrust {}

/// A key that signatures are checked with.
#[derive(Debug, Clone)]
pub struct Authority(VerifyingKey);

impl Authority {
    /// None when the bytes are no point of the curve.
    pub fn new(key: &PublicKey) -> Option<Self> {
        VerifyingKey::from_bytes(key).ok().map(Self)
    }

    /// A table, believed.
    pub fn table(&self, message: &[u8]) -> Result<Table, Distrust> {
        Table::decode(self.signed(message)?).map_err(Distrust::Malformed)
    }

    /// A ticket, believed. Expiry, stream and edge are the caller's to check.
    pub fn ticket(&self, message: &[u8]) -> Result<Ticket, Distrust> {
        Ticket::decode(self.signed(message)?).map_err(Distrust::Malformed)
    }

    fn signed<'a>(&self, message: &'a [u8]) -> Result<&'a [u8], Distrust> {
        let (body, signature) = signed_part(message).map_err(Distrust::Malformed)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature);
        self.0.verify_strict(body, &signature).map_err(|_| Distrust::Signature)?;
        Ok(body)
    }
}

/// A message as it travels: body, then signature.
pub fn sealed(mut body: Vec<u8>, signature: &[u8; 64]) -> Vec<u8> {
    body.extend_from_slice(signature);
    body
}
