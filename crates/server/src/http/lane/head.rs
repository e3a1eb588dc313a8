//! What stands before a body: the bytes hyper would write, as tests with both assert.

use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;

/// A date and the second it is of.
type Dated = (u64, [u8; DATE_LEN]);

/// The status line of a 200.
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// Appends a header field.
pub fn field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

/// Appends all of them.
pub fn fields(head: &mut Vec<u8>, headers: &HeaderMap) {
    headers.iter().for_each(|(name, value)| field(head, name.as_str(), value.as_bytes()));
}

/// Ends a head: length of the body, and date.
pub fn end(head: &mut Vec<u8>, len: usize, now_s: u64) {
    field(head, "content-length", decimal(len, &mut [0; DIGITS_MAX]));
    field(head, "date", &date(now_s));
    head.extend_from_slice(b"\r\n");
}

/// The machinery of `write!` would cost more than the rest of the head.
fn decimal(mut number: usize, digits: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut at = DIGITS_MAX;
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

/// Written once a second and thread.
fn date(now_s: u64) -> [u8; DATE_LEN] {
    thread_local! { static LAST: Cell<Dated> = const { Cell::new((u64::MAX, [0; DATE_LEN])) } }
    let (of, text) = LAST.get();
    if of == now_s {
        return text;
    }
    let mut text = [0; DATE_LEN];
    // It has this length up to the year 9999, where the clock is held.
    let at = UNIX_EPOCH + Duration::from_secs(now_s.min(YEAR_9999_S));
    let _ = write!(&mut text[..], "{}", httpdate::HttpDate::from(at));
    LAST.set((now_s, text));
    text
}

/// Of the largest number.
const DIGITS_MAX: usize = 20;
/// `Sun, 06 Nov 1994 08:49:37 GMT`.
const DATE_LEN: usize = 29;
const YEAR_9999_S: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_digits() {
        for number in [0, 7, 10, 1_000, usize::MAX] {
            assert_eq!(decimal(number, &mut [0; DIGITS_MAX]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn dates_as_the_rfc_has_them() {
        assert_eq!(&date(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&date(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
