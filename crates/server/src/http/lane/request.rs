//! Is a request so plain that the lane may answer it? Read by the parser hyper reads with, so that the two never differ
//! on where a request ends; what is not certainly plain is hyper's.

use std::mem::MaybeUninit;

use httparse::{Header, Request, Status};

/// A GET without a body, a range or a condition.
#[derive(Debug, PartialEq, Eq)]
pub struct Plain<'a> {
    /// As it stands in the request: path and query.
    pub target: &'a str,
    /// The page that asks, where a browser says so.
    pub origin: Option<&'a [u8]>,
}

/// What stands at the front of a connection's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Front<'a> {
    /// A beginning.
    Partial,
    /// A plain request of so many bytes.
    Plain(Plain<'a>, usize),
    /// One of so many bytes that is not plain; the next one begins behind it.
    Whole(usize),
    /// A request to speak something else from now on.
    Upgrade,
    /// What only hyper knows the end of, or what is no request.
    Unbounded,
}

/// Looks at the front of `bytes`.
pub fn front(bytes: &[u8]) -> Front<'_> {
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Front::Partial,
        Err(_) => return Front::Unbounded,
    };
    let (mut plain, mut origin) = (request.method == Some("GET") && request.version == Some(1), None);
    for header in &*request.headers {
        match Weight::of(header) {
            Weight::None => {}
            Weight::Origin if origin.is_none() => origin = Some(header.value),
            Weight::Origin | Weight::Matters => plain = false,
            Weight::Upgrade => return Front::Upgrade,
            Weight::Body => return Front::Unbounded,
        }
    }
    match (request.method, request.path) {
        (Some("CONNECT"), _) => Front::Unbounded,
        (_, Some(target)) if plain => Front::Plain(Plain { target, origin }, len),
        _ => Front::Whole(len),
    }
}

/// What a header means for who answers.
enum Weight {
    None,
    Origin,
    /// The answer depends on it, or what becomes of the connection.
    Matters,
    /// What follows may be another protocol.
    Upgrade,
    /// The request may go on behind its head.
    Body,
}

impl Weight {
    fn of(header: &Header<'_>) -> Self {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let says = |value: &str| header.value.eq_ignore_ascii_case(value.as_bytes());
        match header.name.len() {
            2 if is("te") => Self::Matters,
            5 if is("range") => Self::Matters,
            6 if is("origin") => Self::Origin,
            6 if is("expect") => Self::Body,
            7 if is("upgrade") => Self::Upgrade,
            10 if is("connection") && !says("keep-alive") => Self::Matters,
            14 if is("content-length") && says("0") => Self::Matters,
            14 if is("content-length") => Self::Body,
            17 if is("transfer-encoding") => Self::Body,
            _ if header.name.get(..3).is_some_and(|front| front.eq_ignore_ascii_case("if-")) => Self::Matters,
            _ => Self::None,
        }
    }
}

/// Browsers send some fifteen.
const HEADERS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(head: &str) -> Front<'_> {
        front(head.as_bytes())
    }

    #[test]
    fn only_a_plain_get_is_plain() {
        let plain = |target, origin| Plain { target, origin };
        let (bare, browser) = ("GET /a HTTP/1.1\r\n\r\n", "GET /a?b HTTP/1.1\r\nHost: h\r\nOrigin: http://p\r\n\r\n");
        assert_eq!(seen(bare), Front::Plain(plain("/a", None), bare.len()));
        assert_eq!(seen(browser), Front::Plain(plain("/a?b", Some(b"http://p")), browser.len()));
        for rest in ["Connection: Keep-Alive\r\n", "Host: h\r\nHost: h\r\n", "Accept: */*\n"] {
            let head = format!("GET /a HTTP/1.1\r\n{rest}\r\n");
            assert_eq!(seen(&head), Front::Plain(plain("/a", None), head.len()), "{rest}");
        }
    }

    #[test]
    fn what_is_not_plain_but_has_no_body_is_taken_off_whole() {
        for (line, headers) in [
            ("HEAD /a HTTP/1.1", ""),
            ("OPTIONS * HTTP/1.1", ""),
            ("GET /a HTTP/1.0", ""),
            ("POST /a HTTP/1.1", "Content-Length: 0\r\n"),
            ("GET /a HTTP/1.1", "RANGE: bytes=0-1\r\n"),
            ("GET /a HTTP/1.1", "If-None-Match: *\r\n"),
            ("GET /a HTTP/1.1", "if-anything: x\r\n"),
            ("GET /a HTTP/1.1", "Connection: close\r\n"),
            ("GET /a HTTP/1.1", "Connection: keep-alive, close\r\n"),
            ("GET /a HTTP/1.1", "Origin: a\r\nOrigin: b\r\n"),
        ] {
            let head = format!("{line}\r\n{headers}\r\n");
            assert_eq!(seen(&format!("{head}GET /b")), Front::Whole(head.len()), "{head}");
        }
    }

    #[test]
    fn what_may_go_on_is_not_taken_apart() {
        for (line, header) in [
            ("POST /a HTTP/1.1", "Content-Length: 3"),
            ("GET /a HTTP/1.1", "Content-Length: 00"),
            ("GET /a HTTP/1.1", "transfer-encoding: identity"),
            ("GET /a HTTP/1.1", "Expect: 100-continue"),
            ("CONNECT h:1 HTTP/1.1", "Host: h"),
            ("GET /a HTTP/1.1", "no colon"),
            ("GET /a HTTP/1.1", "X : y"),
            ("GET /a HTTP/1.1", "X: y\r\n folded"),
            ("GET /a HTTP/2.0", "Host: h"),
            ("GET  /a HTTP/1.1", "Host: h"),
            ("\u{1}", "Host: h"),
        ] {
            let head = format!("{line}\r\n{header}\r\n\r\n");
            assert_eq!(seen(&head), Front::Unbounded, "{head}");
        }
        assert_eq!(seen("GET /a HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), Front::Upgrade);
        let many = format!("GET /a HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(seen(&many), Front::Unbounded);
    }

    #[test]
    fn a_beginning_is_waited_for() {
        let head = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
        for len in 0..head.len() {
            assert_eq!(seen(&head[..len]), Front::Partial, "{len}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_end_lies_outside(
            start in prop::sample::select(vec!["", "GET /", "GET / HTTP/1.1\r\n", "POST * HTTP/1.0\nOrigin:"]),
            rest in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\r\n: abc".to_vec())], 0..80),
        ) {
            let bytes = [start.as_bytes(), &rest].concat();
            if let Front::Plain(_, len) | Front::Whole(len) = front(&bytes) {
                prop_assert!(len <= bytes.len() && bytes[..len].ends_with(b"\n"));
            }
        }
    }
}
