//! Which secrets does the manager hold on disk? Each in its own file, made on the first run, readable by its owner
//! only, and never overwritten.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use trellis_proto::{PublicKey, Ticket};

use super::{Error, ManagerConfig};
use crate::keyfile::{self, random};
use crate::secret::Secret;

/// A file the first run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// What it is, for people: "admin key".
    pub what: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// The manager's secrets.
pub struct Keys {
    /// Signs tickets.
    pub ticket: TicketKey,
    /// Bearer of origins and edges.
    pub server: Secret,
    /// Bearer of the admin API.
    pub admin: Secret,
    /// Stream key for every stream.
    pub publish: Secret,
}

/// An API key in the form of its file: `kid:secret`, one line.
#[derive(Clone)]
pub struct ApiKeyFile {
    /// Which key, as in a token's header.
    pub kid: String,
    /// The MAC secret: these characters are the key, they are not decoded.
    pub secret: String,
}

/// The key that signs tickets.
pub struct TicketKey(Ed25519KeyPair);

impl Keys {
    /// Reads the keys of `dir`, making what is missing.
    pub fn open(config: &ManagerConfig, dir: &Path, created: &mut Vec<Created>) -> Result<Self, Error> {
        make_dir(dir, created)?;
        let mut file = |name, what| secret_file(&dir.join(name), what, random_text, created);
        let keys = Self {
            ticket: TicketKey::parse(&dir.join("ticket.key"), &file("ticket.key", "ticket signing key")?)?,
            server: match &config.server_key {
                Some(key) => chosen("server_key", key)?,
                None => Secret::new(file("server.key", "server key, for origins and edges")?),
            },
            admin: match &config.admin_key {
                Some(key) => chosen("admin_key", key)?,
                None => Secret::new(file("admin.key", "admin key")?),
            },
            publish: Secret::new(file("publish.key", "publish key, for any stream")?),
        };
        Ok(keys)
    }
}

impl ApiKeyFile {
    /// The name of the file in the data directory.
    pub const NAME: &'static str = "api.key";

    /// A fresh one.
    pub fn generate() -> Self {
        Self { kid: random_kid(), secret: random_text() }
    }

    /// Reads `kid:secret`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unread = |_| Error::Key { path: path.into(), why: "is not there, or not readable for this user" };
        let text = fs::read_to_string(path).map_err(unread)?;
        match text.trim().split_once(':') {
            Some((kid, secret)) if !kid.is_empty() && !secret.is_empty() => {
                Ok(Self { kid: kid.into(), secret: secret.into() })
            }
            _ => Err(Error::Key { path: path.into(), why: "must hold one line: key id, colon, secret" }),
        }
    }

    /// Writes it to its file in `dir`.
    pub fn save(self, dir: &Path, created: &mut Vec<Created>) -> Result<Self, Error> {
        let text = || format!("{}:{}", self.kid, self.secret);
        secret_file(&dir.join(Self::NAME), "API key, for viewer tokens", text, created)?;
        Ok(self)
    }
}

impl TicketKey {
    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let wrong = || Error::Key { path: path.into(), why: "must hold 32 bytes in base64url" };
        let seed = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        Ed25519KeyPair::from_seed_unchecked(&seed).map(Self).map_err(|_| wrong())
    }

    /// The key edges check tickets with.
    pub fn public(&self) -> PublicKey {
        self.0.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
    }

    /// The ticket as it stands in URLs: body and signature in base64url without padding.
    pub fn sign(&self, ticket: &Ticket) -> String {
        let mut message = ticket.encode();
        let signature = self.0.sign(&message);
        message.extend_from_slice(signature.as_ref());
        URL_SAFE_NO_PAD.encode(message)
    }
}

/// 256 random bits, as text that needs no quoting anywhere.
pub fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(random::<32>())
}

/// A key id: unique enough, and short enough to read out.
pub fn random_kid() -> String {
    format!("k{}", hex::encode(random::<5>()))
}

fn chosen(name: &'static str, key: &str) -> Result<Secret, Error> {
    // An empty key would admit everyone who sends none.
    if key.trim().len() < CHOSEN_KEY_BYTES_MIN { Err(Error::WeakKey(name)) } else { Ok(Secret::new(key)) }
}

fn make_dir(dir: &Path, created: &mut Vec<Created>) -> Result<(), Error> {
    if keyfile::make_dir(dir).map_err(|source| Error::File { path: dir.into(), source })? {
        created.push(Created { what: "data directory", path: dir.into() });
    }
    Ok(())
}

/// The trimmed text of a secret's file; made when it is missing.
fn secret_file(
    path: &Path,
    what: &'static str,
    make: impl FnOnce() -> String,
    created: &mut Vec<Created>,
) -> Result<String, Error> {
    let kept = keyfile::open(path, make).map_err(|source| match source.kind() {
        ErrorKind::InvalidData => Error::Key { path: path.into(), why: "is empty; remove it to have a new one made" },
        _ => Error::File { path: path.into(), source },
    })?;
    if kept.made {
        created.push(Created { what, path: path.into() });
    }
    Ok(kept.text)
}

/// Keys an operator chooses must not be guessable by trying.
const CHOSEN_KEY_BYTES_MIN: usize = 16;
