//! Which bytes of an object does a request want? RFC 9110 §14, a single range; several are answered whole.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// No range, or one we may ignore.
    All,
    /// These bytes.
    Some(Range<usize>),
    /// Nothing that exists.
    Unsatisfiable,
}

/// Reads the header for an object of `size` bytes.
pub fn wanted(header: Option<&str>, size: usize) -> Wanted {
    let Some((first, last)) = header.and_then(|h| h.strip_prefix("bytes=")).and_then(|h| h.split_once('-')) else {
        return Wanted::All;
    };
    let number = |text: &str| text.parse::<usize>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(0) => Wanted::Unsatisfiable,
            Some(len) => bounded(size.saturating_sub(len), size, size),
            None => Wanted::All,
        },
        (first, "") => number(first).map_or(Wanted::All, |first| bounded(first, size, size)),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => bounded(first, last.saturating_add(1), size),
            _ => Wanted::All,
        },
    }
}

fn bounded(start: usize, end: usize, size: usize) -> Wanted {
    if start >= size { Wanted::Unsatisfiable } else { Wanted::Some(start..end.min(size)) }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, wanted};

    #[test]
    fn ranges_as_the_rfc_has_them() {
        for (header, expected) in [
            (None, Wanted::All),
            (Some("bytes=0-0"), Wanted::Some(0..1)),
            (Some("bytes=2-"), Wanted::Some(2..10)),
            (Some("bytes=2-99"), Wanted::Some(2..10)),
            (Some("bytes=2-18446744073709551615"), Wanted::Some(2..10)),
            (Some("bytes=-3"), Wanted::Some(7..10)),
            (Some("bytes=-99"), Wanted::Some(0..10)),
            (Some("bytes=10-"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=5-2"), Wanted::All),
            (Some("bytes=0-1,3-4"), Wanted::All),
            (Some("bytes=a-b"), Wanted::All),
            (Some("items=0-1"), Wanted::All),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }
}
