//! The origin's signature. The key is made on the first run and never leaves its file.

use std::io;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::Bytes;
use trellis_core::trust::table::{Authority, sealed};
use trellis_proto::PublicKey;

use super::OriginError;
use crate::keyfile;

/// Signs tables.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
    authority: Authority,
}

impl Signer {
    /// Reads the key file, or makes it.
    pub fn open(path: &Path) -> Result<Self, OriginError> {
        let fail = |source| OriginError::new(format!("the origin's signing key {}", path.display()), source);
        if let Some(folder) = path.parent() {
            keyfile::make_dir(folder).map_err(fail)?;
        }
        let kept = keyfile::open(path, || hex::encode(keyfile::random::<32>())).map_err(fail)?;
        if kept.made {
            tracing::info!("made the origin's signing key: {}", path.display());
        }
        let wrong = || fail(io::Error::new(io::ErrorKind::InvalidData, "must hold 64 hexadecimal digits"));
        let seed = hex::decode(&kept.text).map_err(|_| wrong())?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| wrong())?;
        let public: PublicKey = pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes");
        let authority = Authority::new(&public).expect("a key pair's public key is a point of the curve");
        Ok(Self { pair, public, authority })
    }

    /// What others check with.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Checks its own signatures.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Body and signature, as they travel.
    pub fn seal(&self, body: Vec<u8>) -> Bytes {
        let signature = self.pair.sign(&body);
        let signature = signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes");
        sealed(body, signature).into()
    }
}
