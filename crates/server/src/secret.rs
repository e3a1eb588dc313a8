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
        let given = bearer(headers).unwrap_or_default();
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

/// The bearer token of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
