//! Fuzz body of the reader; also run by the ordinary tests.

use bytes::Bytes;

use super::{Error, Item, Reader};

/// Reads `data` whole and in chunks of `step` bytes: both must yield the same items and the same end.
///
/// # Panics
/// When they differ: that is the bug a fuzzer looks for.
pub fn reader(data: &[u8], step: usize) {
    let whole = items(std::iter::once(data));
    let chunked = items(data.chunks(step.max(1)));
    assert_eq!(whole, chunked, "the items depend on the chunking (step {step})");
}

/// All items of a stream that comes in these chunks, and how it ended.
pub fn items<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Item>, Result<(), Error>) {
    let mut reader = Reader::new();
    let mut items = Vec::new();
    for chunk in chunks {
        reader.push(Bytes::copy_from_slice(chunk));
        loop {
            match reader.next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Err(error)),
            }
        }
    }
    (items, Ok(()))
}
