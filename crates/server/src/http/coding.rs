//! How is text sent to whoever takes it compressed? Both ways, made once for all who ask.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderValue};

/// A text, plain and compressed.
pub struct Coded {
    plain: Bytes,
    level: Compression,
    /// None where it would not be smaller. Not made before somebody asks.
    gzip: OnceLock<Option<Bytes>>,
}

impl Coded {
    /// Of a text.
    pub fn new(plain: impl Into<Bytes>, level: Compression) -> Self {
        Self { plain: plain.into(), level, gzip: OnceLock::new() }
    }

    /// The body for a request with these headers; what a cache has to know of it is written to `dress`.
    pub fn body(&self, asked: &HeaderMap, dress: &mut HeaderMap) -> Bytes {
        dress.insert(VARY, HeaderValue::from_static("accept-encoding"));
        let smaller = || Some(gzip(&self.plain, self.level)).filter(|gzip| gzip.len() < self.plain.len());
        match takes_gzip(asked).then(|| self.gzip.get_or_init(smaller).clone()).flatten() {
            Some(gzip) => {
                dress.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                gzip
            }
            None => self.plain.clone(),
        }
    }
}

fn gzip(plain: &[u8], level: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory takes all that is written").into()
}

/// Does the client take gzip? `gzip` or `*`, unless with `q=0`.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for coding in codings.flat_map(|line| line.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0f32));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return weight > 0.0,
            "*" => any = weight > 0.0,
            _ => {}
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))])
    }

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        for (accept, takes) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("*", true),
            ("", false),
            ("br", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
        ] {
            assert_eq!(takes_gzip(&asked(accept)), takes, "{accept}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
