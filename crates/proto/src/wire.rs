//! How numbers, strings and byte arrays are laid down, and how they are read back without trust.
//!
//! Invariant: a [`Reader`] never reads past its end, never allocates by a length it has not checked, and
//! accepts exactly one encoding of each value.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Why bytes are not what they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends before the value does.
    #[error("the message is cut short")]
    Short,
    /// Bytes are left over after the value.
    #[error("bytes are left over after the message")]
    Trailing,
    /// A version this build does not know.
    #[error("unknown version {0}")]
    Version(u8),
    /// A kind this build does not know.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// A varint longer than it needs to be, or beyond 64 bits.
    #[error("a number is not in its shortest form")]
    Varint,
    /// A field holds a value outside its bounds.
    #[error("field `{0}` is out of bounds")]
    Field(&'static str),
}

/// Where a [`Writer`] lays its bytes.
pub trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<S: Sink> Sink for &mut S {
    fn put(&mut self, bytes: &[u8]) {
        (**self).put(bytes);
    }
}

/// Counts bytes and keeps none: how long a message will be, said by the very code that writes it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Length(pub usize);

impl Sink for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// Appends values to a byte string.
#[derive(Debug, Default)]
pub struct Writer<S = Vec<u8>>(S);

impl Writer {
    /// Starts a message with its version and kind.
    pub fn new(version: u8, kind: u8) -> Self {
        Self(alloc::vec![version, kind])
    }
}

impl<S: Sink> Writer<S> {
    /// Goes on where the sink ends.
    pub fn onto(sink: S) -> Self {
        Self(sink)
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.array(&[value])
    }

    /// An unsigned number, LEB128, shortest form.
    pub fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8)
    }

    /// Bytes whose length both sides know.
    pub fn array(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.put(bytes);
        self
    }

    /// A length as varint, then that many bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.varint(bytes.len() as u64).array(bytes)
    }

    /// A length as varint, then that many bytes of UTF-8.
    pub fn string(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// The message.
    pub fn finish(self) -> S {
        self.0
    }
}

/// Takes values from the front of a byte string.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads and checks version and kind.
    pub fn new(bytes: &'a [u8], version: u8, kind: u8) -> Result<Self, DecodeError> {
        let mut reader = Self(bytes);
        match reader.u8()? {
            found if found == version => {}
            found => return Err(DecodeError::Version(found)),
        }
        match reader.u8()? {
            found if found == kind => Ok(reader),
            found => Err(DecodeError::Kind(found)),
        }
    }

    /// Starts right at the first value.
    pub fn bare(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    /// A number no larger than `max`.
    pub fn varint(&mut self, field: &'static str, max: u64) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 || byte == 0 && shift > 0 {
                return Err(DecodeError::Varint);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return if value <= max { Ok(value) } else { Err(DecodeError::Field(field)) };
            }
        }
        Err(DecodeError::Varint)
    }

    /// A count no larger than `max`, as usize.
    pub fn count(&mut self, field: &'static str, max: usize) -> Result<usize, DecodeError> {
        Ok(self.varint(field, max as u64)? as usize)
    }

    /// `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("take returns as many bytes as asked"))
    }

    /// UTF-8 of at most `max` bytes.
    pub fn string(&mut self, field: &'static str, max: usize) -> Result<String, DecodeError> {
        let bytes = self.bytes(field, max)?;
        core::str::from_utf8(bytes).map(ToString::to_string).map_err(|_| DecodeError::Field(field))
    }

    /// At most `max` bytes, after their length.
    pub fn bytes(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.count(field, max)?;
        self.take(len)
    }

    /// All that is left, at most `max` bytes.
    pub fn rest(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        if self.0.len() > max { Err(DecodeError::Field(field)) } else { self.take(self.0.len()) }
    }

    /// Is nothing left?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(DecodeError::Short)?;
        self.0 = tail;
        Ok(head)
    }
}
