//! Bodies of the fuzz targets. They also run as property tests below.
//!
//! The property: whatever decodes encodes to the very same bytes, and nothing panics.

use alloc::string::ToString;

use bytes::Bytes;

use crate::frame::{Decoded, Frame};
use crate::signal::candidate::Candidate;
use crate::signal::session::Sdp;
use crate::signal::{Signal, Step};
use crate::{Table, Ticket, signed_part};

/// Any bytes as a table.
pub fn table(bytes: &[u8]) {
    let _ = signed_part(bytes);
    if let Ok(table) = Table::decode(bytes) {
        let again = match &table {
            Table::Catalogue(t) => t.encode(),
            Table::Descriptor(t) => t.encode(),
            Table::RunEnd(t) => t.encode(),
        };
        assert_eq!(again, bytes, "one value, one encoding");
    }
}

/// Any bytes as a ticket.
pub fn ticket(bytes: &[u8]) {
    if let Ok(ticket) = Ticket::decode(bytes) {
        assert_eq!(ticket.encode(), bytes, "one value, one encoding");
    }
}

/// Any bytes as a message of a link.
pub fn frame(bytes: &[u8]) {
    if let Ok(Decoded::Frame(frame)) = Frame::decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(frame.encode(), bytes, "one value, one encoding");
        assert_eq!(frame.encoded_len(Bytes::len), bytes.len(), "what is counted is what is written");
    }
}

/// Any bytes as what peers say to make a link.
pub fn signal(bytes: &[u8]) {
    let Ok(signal) = Signal::decode(bytes) else { return };
    assert_eq!(signal.encode(), bytes, "one value, one encoding");
    match signal.step {
        Step::Offer(sdp @ Sdp::Brief(_)) | Step::Answer(sdp @ Sdp::Brief(_)) => {
            assert_eq!(Sdp::new(sdp.to_string()), sdp, "what is put back is understood");
        }
        Step::Candidate(candidate @ Candidate::Brief(_)) => {
            assert_eq!(Candidate::new(candidate.to_string()), candidate, "what is put back is understood");
        }
        _ => {}
    }
}
