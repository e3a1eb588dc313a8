//! Who is this viewer, and what may they watch? Reads viewer tokens: JWTs of HS256 or EdDSA, named by `kid`.
//!
//! `jsonwebtoken` parses and verifies. A key allows its own algorithm only, so a token never chooses how it is
//! checked: `none`, a public key used as MAC secret, and every other algorithm fail alike. Times are compared here,
//! for the library reads the system's clock and we have the manager's.

use std::borrow::Cow;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::cluster_api::ViewerClass;

/// Longest token that is looked at, bytes.
pub const TOKEN_BYTES_MAX: usize = 4096;
/// Longest viewer id, characters.
pub const VIEWER_CHARS_MAX: usize = 128;
/// Clocks of token makers may run ahead by this much, seconds. Expiry has no such grace: places end with it.
pub const NOT_BEFORE_GRACE_S: u64 = 10;

/// A key that viewer tokens are checked with.
pub struct ApiKey {
    /// What the header's `kid` says.
    pub kid: String,
    verifier: Verifier,
    /// Streams it may speak for; none: all.
    streams: Option<Vec<String>>,
}

/// How a key checks: with one algorithm.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
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
    pub class: ViewerClass,
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
    /// Service class; left out: standard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<ViewerClass>,
    /// Most bit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<u64>,
}

/// Makes a viewer token with an HS256 key; `secret` is used as it stands in `api.key`, undecoded.
pub fn mint(kid: &str, secret: &str, claims: &ViewerClaims) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(secret.as_bytes());
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
        Self::new(Algorithm::HS256, DecodingKey::from_secret(secret))
    }

    /// An Ed25519 public key. None: not 32 bytes.
    pub fn eddsa(public_key: &[u8]) -> Option<Self> {
        (public_key.len() == 32).then(|| Self::new(Algorithm::EdDSA, DecodingKey::from_ed_der(public_key)))
    }

    fn new(algorithm: Algorithm, key: DecodingKey) -> Self {
        let mut validation = Validation::new(algorithm);
        // Left to `read_viewer`.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        // Streams are what our tokens are for.
        validation.validate_aud = false;
        Self { key, validation }
    }
}

/// The 32 bytes of an Ed25519 public key, from PEM (`BEGIN PUBLIC KEY`) or base64url.
pub fn read_public_key(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let bytes = match SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()) {
        Ok(spki) => spki.to_vec(),
        Err(_) => URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?,
    };
    // Written anew, the key is what stands at the end (RFC 8410 §4).
    let spki = ParsedPublicKey::new(&ED25519, bytes).ok()?.as_der().ok()?;
    spki.as_ref().last_chunk().copied()
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
    let header = jsonwebtoken::decode_header(token).or_else(|error| invalid(header_flaw(error.kind())))?;
    // The library reads `crit` and does not heed it.
    if header.crit.is_some() {
        return invalid("the token's header has `crit`, which is not understood here");
    }
    let Some(kid) = header.kid else { return invalid(BAD_HEADER) };
    let Some(key) = find(&kid) else {
        return invalid("the token's `kid` names no key, or one that was revoked");
    };
    let Verifier { key: decoding, validation } = &key.as_ref().verifier;
    let token = jsonwebtoken::decode(token, decoding, validation).map_err(|error| token_flaw(error.kind()))?;
    read_viewer(token.claims, now_s).map(|viewer| (key, viewer))
}

/// Numbers of dates are floats, for RFC 7519 (§2, NumericDate) lets them have fractions and some makers use it.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    stream: String,
    exp: f64,
    nbf: Option<f64>,
    #[serde(default)]
    class: ViewerClass,
    max_rate: Option<u64>,
}

fn read_viewer(claims: Claims, now_s: u64) -> Result<Viewer, Denied> {
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
    Ok(Viewer { id: claims.sub, stream: claims.stream, expires_s, class: claims.class, max_rate: claims.max_rate })
}

fn header_flaw(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::InvalidToken => "a token has three parts with dots between them",
        // An algorithm the library does not know; no key of ours has it. Only its text tells this from other flaws.
        ErrorKind::Json(error) if error.to_string().starts_with("unknown variant") => WRONG_ALGORITHM,
        _ => BAD_HEADER,
    }
}

fn token_flaw(error: &ErrorKind) -> Denied {
    Denied::Invalid(match error {
        ErrorKind::InvalidAlgorithm => WRONG_ALGORITHM.into(),
        ErrorKind::Base64(_) => "the token's signature or claims are not base64url".into(),
        // Claims are read once the signature holds.
        ErrorKind::Json(error) => format!("the token's claims: {error}").into(),
        _ => "the token's signature is not by the key its `kid` names".into(),
    })
}

fn invalid<T>(why: &'static str) -> Result<T, Denied> {
    Err(Denied::Invalid(why.into()))
}

const BAD_HEADER: &str = "the token's header must be JSON in base64url, with `alg` and `kid`";
const WRONG_ALGORITHM: &str = "the token's `alg` is not that of the key its `kid` names";
