//! Where does a box end? Framing only, one level at a time.
//!
//! Containers are walked here and only leaf boxes go to `mp4-atom`: its container decoders recurse as deep as the
//! input nests, and a megabyte of nested headers would overflow the stack.

use mp4_atom::Atom;

use super::Error;

/// A box header: type and whole size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub kind: [u8; 4],
    /// Bytes of the header itself: 8 or 16.
    pub header_bytes: usize,
    /// Bytes of header and body; `None` runs to the end of the stream.
    pub bytes: Option<u64>,
}

impl Header {
    /// The header at the start of `data`; `None` when more bytes are needed.
    pub fn parse(data: &[u8]) -> Result<Option<Self>, Error> {
        let (Some(size), Some(kind)) = (be_u32(data), data.get(4..8)) else { return Ok(None) };
        let kind: [u8; 4] = kind.try_into().expect("a slice of four bytes");
        let (header_bytes, bytes) = match size {
            0 => (8, None),
            1 => match data.get(8..16) {
                None => return Ok(None),
                Some(large) => (16, Some(u64::from_be_bytes(large.try_into().expect("a slice of eight bytes")))),
            },
            n => (8, Some(u64::from(n))),
        };
        if bytes.is_some_and(|n| n < header_bytes as u64) {
            return Err(Error::malformed(&kind, "its size is smaller than its header"));
        }
        Ok(Some(Self { kind, header_bytes, bytes }))
    }
}

/// How many bytes of a stream come before its first fragment (`moof`); `None` when there is none.
pub fn header_bytes(stream: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let header = Header::parse(stream.get(at..)?).ok()??;
        if header.kind == *b"moof" {
            return Some(at);
        }
        at = at.checked_add(usize::try_from(header.bytes?).ok()?)?;
    }
}

/// The child boxes in a container's body, as (type, body).
pub(crate) struct Children<'a>(pub &'a [u8]);

impl<'a> Iterator for Children<'a> {
    type Item = Result<([u8; 4], &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        // Fewer than eight bytes cannot be a box: QuickTime writers pad containers with a zero word.
        let header = match Header::parse(self.0) {
            Ok(header) => header?,
            Err(error) => {
                self.0 = &[];
                return Some(Err(error));
            }
        };
        let bytes = header.bytes.unwrap_or(self.0.len() as u64);
        let whole = usize::try_from(bytes).ok().and_then(|n| self.0.split_at_checked(n));
        let Some((this, rest)) = whole else {
            self.0 = &[];
            return Some(Err(Error::malformed(&header.kind, "it is larger than the box around it")));
        };
        self.0 = rest;
        Some(Ok((header.kind, &this[header.header_bytes..])))
    }
}

/// Decodes the body of a leaf box.
pub(crate) fn leaf<T: Atom>(kind: &[u8; 4], mut body: &[u8]) -> Result<T, Error> {
    T::decode_body(&mut body).map_err(|error| Error::malformed(kind, error))
}

/// The body of the first child of type `kind`; an error when there is none.
pub(crate) fn required<'a>(body: &'a [u8], parent: &[u8; 4], kind: &[u8; 4]) -> Result<&'a [u8], Error> {
    optional(body, kind)?
        .ok_or_else(|| Error::malformed(parent, format_args!("it has no {} box", String::from_utf8_lossy(kind))))
}

/// The body of the first child of type `kind`, if any.
pub(crate) fn optional<'a>(body: &'a [u8], kind: &[u8; 4]) -> Result<Option<&'a [u8]>, Error> {
    for child in Children(body) {
        let (found, inner) = child?;
        if found == *kind {
            return Ok(Some(inner));
        }
    }
    Ok(None)
}

fn be_u32(data: &[u8]) -> Option<u32> {
    data.first_chunk().map(|b| u32::from_be_bytes(*b))
}
