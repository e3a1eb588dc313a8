//! How many bytes is a frame?

use trellis_core::trust::Payload;
use trellis_proto::frame::{Frame, Row};

/// Bytes of a frame on the wire, without what the link below adds (uplinks are given as goodput).
pub fn frame_bytes<P: Payload>(frame: &Frame<P>) -> u32 {
    let bytes = match frame {
        Frame::Hello(hello) => 24 + hello.ticket.len() + 2 * hello.layers.len(),
        Frame::Welcome(_) => 28,
        Frame::Greet { .. } => 6,
        Frame::Table(message) => 3 + message.len(),
        Frame::Ask { .. } => 16,
        Frame::Chunk(chunk) => 16 + chunk.payload.size(),
        Frame::Have(rows) | Frame::Cancel(rows) | Frame::Deny(rows) => 2 + rows_bytes(rows),
        Frame::Want { rows, .. } => 3 + rows_bytes(rows),
        Frame::Subscribe { set, .. } => 16 + 3 * set.len(),
        Frame::Unsubscribe(set) => 2 + 3 * set.len(),
        Frame::Assign(assign) => {
            let lists = assign.neighbors.as_ref().map_or(0, Vec::len) + assign.layers.as_ref().map_or(0, Vec::len);
            12 + 8 * assign.take.len() + 8 * assign.give.len() + 3 * lists
        }
        Frame::Report(report) => 20 + 10 * report.receipts.len() + 4 * report.complaints.len(),
        Frame::Switch { layers } => 2 + layers.len(),
        Frame::Exchange(peers) => 2 + 3 * peers.len(),
        Frame::Signal { body, .. } => 6 + body.len(),
        Frame::Ping { .. } => 8,
        Frame::Pong { .. } => 15,
        Frame::Renew(ticket) => 3 + ticket.len(),
        Frame::Bye(_) => 3,
    };
    bytes as u32
}

/// Part numbers are close together: told as differences, with the bits of the chunks.
fn rows_bytes(rows: &[Row]) -> usize {
    rows.iter().map(|row| 4 + row.chunks.words().last().map_or(0, |_| row.chunks.words().len() * 2)).sum::<usize>() + 8
}
