//! Is this the secret? Compared in constant time; never printed.

use std::fmt;

use ::http::HeaderMap;
use ::http::header::AUTHORIZATION;

/// A shared secret.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is, trimmed.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// The text, to be sent.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Does the request carry it as bearer?
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let given = bearer(headers).ok().flatten().unwrap_or_default();
        // A secret that was left empty admits nobody, least of all those who send none.
        !self.0.is_empty()
            && aws_lc_rs::constant_time::verify_slices_are_equal(given.as_bytes(), self.0.as_bytes()).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// There is an `Authorization` header, and it carries something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBearer;

/// The bearer token of a request, if it has one.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, NotBearer> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    match value.to_str().ok().and_then(|text| text.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(NotBearer),
    }
}
