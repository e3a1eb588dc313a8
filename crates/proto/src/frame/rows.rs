//! How are chunks of several parts and layers named in few bytes? Each row by what differs from the row before it.
//!
//! A row begins with one byte: its layer in the low six bits, and two flags. Most rows name the same part as the one
//! before (another layer) or the next part, so a run is said once and a part costs nothing or one byte. There is one
//! form for each list: the shortest flag that can be used must be.

use alloc::vec::Vec;

use super::field::Field;
use super::{Bits, LayerId, PartId, Row};
use crate::limits::{CHUNKS_MAX, NUMBER_MAX, ROWS_MAX};
use crate::wire::{DecodeError, Reader, Sink, Writer};

/// The part is that of the row before.
const SAME_PART: u8 = 0x40;
/// Run and part follow in full; else the part follows as its distance from the one before.
const OTHER_RUN: u8 = 0x80;

/// Writes a list of rows.
pub(super) fn lay<S: Sink>(rows: &[Row], w: &mut Writer<S>) {
    w.varint(rows.len() as u64);
    let mut before = None;
    for row in rows {
        lay_head(row, before, w);
        lay_bits(&row.chunks, w);
        before = Some(row.part);
    }
}

fn lay_head<S: Sink>(row: &Row, before: Option<PartId>, w: &mut Writer<S>) {
    let layer = row.of.to_byte();
    match before {
        Some(part) if part == row.part => {
            w.u8(layer | SAME_PART);
        }
        Some(part) if part.run == row.part.run => {
            w.u8(layer).varint(zigzag(row.part.part.wrapping_sub(part.part) as i64));
        }
        _ => row.part.lay(w.u8(layer | OTHER_RUN)),
    }
}

/// Reads what [`lay`] wrote.
pub(super) fn read(r: &mut Reader<'_>) -> Result<Vec<Row>, DecodeError> {
    let count = r.count("rows", ROWS_MAX)?;
    let mut before = None;
    (0..count)
        .map(|_| {
            let head = r.u8()?;
            let part = read_part(head & (SAME_PART | OTHER_RUN), before, r)?;
            before = Some(part);
            Ok(Row { part, of: LayerId::from_byte(head & 0x3f)?, chunks: read_bits(r)? })
        })
        .collect()
}

fn read_part(flags: u8, before: Option<PartId>, r: &mut Reader<'_>) -> Result<PartId, DecodeError> {
    match (flags, before) {
        (OTHER_RUN, _) => match PartId::read(r)? {
            part if before.is_some_and(|before| before.run == part.run) => Err(DecodeError::Field("run")),
            part => Ok(part),
        },
        (SAME_PART, Some(part)) => Ok(part),
        (0, Some(PartId { run, part })) => {
            let distance = r.varint("part", 2 * NUMBER_MAX)?;
            let moved = part.checked_add_signed(unzigzag(distance)).filter(|part| *part <= NUMBER_MAX && distance != 0);
            Ok(PartId { run, part: moved.ok_or(DecodeError::Field("part"))? })
        }
        _ => Err(DecodeError::Field("row")),
    }
}

fn lay_bits<S: Sink>(bits: &Bits, w: &mut Writer<S>) {
    w.varint(bits.words_len() as u64);
    bits.words().for_each(|word| {
        w.varint(word);
    });
}

fn read_bits(r: &mut Reader<'_>) -> Result<Bits, DecodeError> {
    let count = r.count("chunks", CHUNKS_MAX / 64)?;
    let words = (0..count).map(|_| r.varint("chunks", u64::MAX)).collect::<Result<Vec<_>, _>>()?;
    Bits::from_words(&words).ok_or(DecodeError::Field("chunks"))
}

/// 0, -1, 1, -2, … as 0, 1, 2, 3, …
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
