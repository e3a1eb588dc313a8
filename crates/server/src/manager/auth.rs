//! Who is this viewer, and what may they watch? Reads viewer tokens: JWTs of HS256 or EdDSA, named by `kid`.
//!
//! A key knows its own algorithm and the header must agree with it, so a token never chooses how it is checked:
//! `none`, a public key used as MAC secret, and every other algorithm fail alike. Written against the MAC and the
//! signature directly, because a join has 25 µs: keys are prepared once and nothing is allocated before the
//! signature holds. Tests hold it against `jsonwebtoken`.

use std::borrow::Cow;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use trellis_proto::Class;

/// Longest token that is looked at, bytes.
pub const TOKEN_BYTES_MAX: usize = 4096;
/// Longest viewer id, characters.
pub const VIEWER_CHARS_MAX: usize = 128;
/// Clocks of token makers may run ahead by this much, seconds. Expiry has no such grace: places end with it.
pub const NOT_BEFORE_GRACE_S: u64 = 10;

const HEADER_BYTES_MAX: usize = 512;
const CLAIMS_BYTES_MAX: usize = 3072;

/// A key that viewer tokens are checked with.
pub struct ApiKey {
    /// What the header's `kid` says.
    pub kid: String,
    verifier: Verifier,
    /// Streams it may speak for; none: all.
    streams: Option<Vec<String>>,
}

/// How a key checks.
pub enum Verifier {
    /// HMAC with SHA-256. (Boxed: the prepared key has over a kilobyte.)
    Hs256(Box<hmac::Key>),
    /// Ed25519.
    EdDsa(ParsedPublicKey),
}

/// A viewer who proved to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The operator's name for them; empty without a token.
    pub id: String,
    /// A stream name, or `*`.
    pub stream: String,
    /// Seconds since the Unix epoch.
    pub expires_s: u64,
    /// Service class.
    pub class: Class,
    /// Most bit/s.
    pub max_rate: Option<u64>,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Not a token of ours, and why.
    Invalid(Cow<'static, str>),
    /// It was one.
    Expired,
}

/// The claims of a viewer token, for making one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViewerClaims {
    /// Viewer id, 1 to 128 characters.
    pub sub: String,
    /// Stream name, or `*` for every stream of the key.
    pub stream: String,
    /// Expiry, seconds since the Unix epoch.
    pub exp: u64,
    /// Not valid before, seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// `standard` or `premium`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Most bit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<u64>,
}

/// Makes a viewer token with an HS256 key; `secret` is used as it stands in `api.key`, undecoded.
pub fn mint(kid: &str, secret: &str, claims: &ViewerClaims) -> String {
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some(kid.to_owned());
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&header, claims, &key).expect("plain claims serialise and a MAC takes any key")
}

impl ApiKey {
    /// A key of this id that may speak for `streams`; none: for all.
    pub fn new(kid: String, verifier: Verifier, streams: Option<Vec<String>>) -> Self {
        Self { kid, verifier, streams }
    }

    /// May a token of this key, for `viewer`, open `stream`?
    pub fn allows(&self, viewer: &Viewer, stream: &str) -> bool {
        let by_key = self.streams.as_ref().is_none_or(|streams| streams.iter().any(|s| s == stream));
        by_key && (viewer.stream == "*" || viewer.stream == stream)
    }
}

impl Verifier {
    /// A MAC key.
    pub fn hs256(secret: &[u8]) -> Self {
        Self::Hs256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// An Ed25519 public key. None: not 32 bytes of one.
    pub fn eddsa(public_key: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(&ED25519, public_key).ok().map(Self::EdDsa)
    }

    /// The word for it in token headers.
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hs256(key) => hmac::verify(key, message, signature).is_ok(),
            Self::EdDsa(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// The 32 bytes of an Ed25519 public key, from PEM (`BEGIN PUBLIC KEY`) or base64url.
pub fn read_public_key(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let raw = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
        Some(rest) => {
            let body: String = rest.strip_suffix("-----END PUBLIC KEY-----")?.split_ascii_whitespace().collect();
            STANDARD.decode(body).ok()?.strip_prefix(&ED25519_SPKI)?.to_vec()
        }
        None => URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?,
    };
    raw.try_into().ok()
}

/// Checks a token. `find` knows the living keys by `kid`; what it finds comes back with the viewer.
pub fn authenticate<K: AsRef<ApiKey>>(
    token: &str,
    now_s: u64,
    find: impl FnOnce(&str) -> Option<K>,
) -> Result<(K, Viewer), Denied> {
    if token.len() > TOKEN_BYTES_MAX {
        return invalid("the token is longer than 4096 bytes");
    }
    let parts = token.rsplit_once('.').and_then(|(message, mac)| Some((message, mac, message.split_once('.')?)));
    let Some((message, mac, (header, claims))) = parts else {
        return invalid("a token has three parts with dots between them");
    };
    let mut buffer = [0; HEADER_BYTES_MAX];
    let header: Header = match open(header, &mut buffer).map(serde_json::from_slice) {
        Some(Ok(header)) => header,
        _ => return invalid("the token's header must be JSON in base64url, with `alg` and `kid`"),
    };
    if header.crit.is_some() {
        return invalid("the token's header has `crit`, which is not understood here");
    }
    let Some(key) = find(&header.kid) else {
        return invalid("the token's `kid` names no key, or one that was revoked");
    };
    let verifier = &key.as_ref().verifier;
    if header.alg != verifier.algorithm() {
        return invalid("the token's `alg` is not that of the key its `kid` names");
    }
    let mut buffer = [0; SIGNATURE_BYTES_MAX];
    let signature = open(mac, &mut buffer).unwrap_or_default();
    if !verifier.verify(message.as_bytes(), signature) {
        return invalid("the token's signature is not by the key its `kid` names");
    }
    read_claims(claims, now_s).map(|viewer| (key, viewer))
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    crit: Option<serde::de::IgnoredAny>,
}

/// Numbers of dates are floats, for RFC 7519 (§2, NumericDate) lets them have fractions and some makers use it.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    stream: String,
    exp: f64,
    nbf: Option<f64>,
    #[serde(default)]
    class: ClaimedClass,
    max_rate: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum ClaimedClass {
    #[default]
    Standard,
    Premium,
}

/// Only for claims whose signature holds.
fn read_claims(part: &str, now_s: u64) -> Result<Viewer, Denied> {
    let mut buffer = [0; CLAIMS_BYTES_MAX];
    let Some(bytes) = open(part, &mut buffer) else { return invalid("the token's claims are not base64url") };
    let claims: Claims = match serde_json::from_slice(bytes) {
        Ok(claims) => claims,
        Err(error) => return Err(Denied::Invalid(format!("the token's claims: {error}").into())),
    };
    // Casts from float saturate; what is no number becomes 0 and has expired.
    let expires_s = claims.exp as u64;
    if now_s >= expires_s {
        return Err(Denied::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf.ceil() as u64 > now_s + NOT_BEFORE_GRACE_S) {
        return invalid("the token is not valid yet (`nbf`)");
    }
    if claims.sub.is_empty() || claims.sub.chars().count() > VIEWER_CHARS_MAX {
        return invalid("the token's `sub` must have 1 to 128 characters");
    }
    if claims.max_rate == Some(0) {
        return invalid("the token's `max_rate` must be above 0");
    }
    let class = match claims.class {
        ClaimedClass::Standard => Class::Standard,
        ClaimedClass::Premium => Class::Premium,
    };
    Ok(Viewer { id: claims.sub, stream: claims.stream, expires_s, class, max_rate: claims.max_rate })
}

fn open<'a>(part: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let len = URL_SAFE_NO_PAD.decode_slice(part, buffer).ok()?;
    Some(&buffer[..len])
}

fn invalid<T>(why: &'static str) -> Result<T, Denied> {
    Err(Denied::Invalid(why.into()))
}

/// What stands before the 32 bytes in a SubjectPublicKeyInfo of Ed25519 (RFC 8410 §4).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Above the 64 of Ed25519, for the decoder wants room for what the text's length might hold.
const SIGNATURE_BYTES_MAX: usize = 72;
