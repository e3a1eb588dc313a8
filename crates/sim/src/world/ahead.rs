//! What will be needed in a moment?
//!
//! Each event concerns another host, and what a host has lies far from what another has: most of an event's time would go
//! by waiting for memory. So where the next events will look is brought near some events before their turn, one level after
//! the other: what is on its way, then its flow, then the viewer it goes to, then what that viewer's machine keeps elsewhere.
//! Invariant: nothing here changes anything, and each level reads only what the one before brought near.

use std::ptr::from_ref;

use prefetch_index::prefetch_index;
use trellis_core::near::{Coming, Near};

use super::viewer::Viewer;
use super::*;

/// How many events before its turn a frame on its way is brought near, ...
const FLIGHT: usize = 8;
/// ... and its flow, ...
const FLOW: usize = 6;
/// ... and, level by level, the viewer it goes to, ...
const VIEWER: [usize; 4] = [5, 3, 2, 1];
/// ... and the flow on which that will send next.
const NEXT: usize = 1;

/// What memory brings at once, bytes.
const LINE: usize = 64;

/// A hint to the processor, which it may follow or not.
struct Hint;

impl Near for Hint {
    fn near<T>(place: &T) {
        // The hint takes an index into a slice and does not look whether there is anything: so any address is an index.
        let nothing: &[u8] = &[];
        let first = from_ref(place).addr().wrapping_sub(nothing.as_ptr().addr());
        for line in 0..size_of::<T>().div_ceil(LINE) {
            prefetch_index(nothing, first.wrapping_add(line * LINE));
        }
    }
}

impl<C: Crypto, B: Brain<C>> World<C, B> {
    pub(super) fn look_ahead(&self) {
        if let Some(Event::Arrived(at) | Event::Delivered(at)) = self.queue.ahead(FLIGHT) {
            self.net.glance_flight::<Hint>(*at);
        }
        match self.queue.ahead(FLOW) {
            Some(Event::Arrived(at) | Event::Delivered(at)) => {
                self.net.glance_flow::<Hint>(self.net.on_its_way(*at).0);
            }
            Some(Event::Acked(flow, _)) => self.net.glance_flow::<Hint>(*flow),
            _ => {}
        }
        for (level, others) in (0..).zip(VIEWER) {
            if let Some((viewer, coming)) = self.viewer_ahead(others) {
                viewer.glance::<_, Hint>(level, coming);
            }
        }
        if let Some(flow) = self.viewer_ahead(NEXT).and_then(|(viewer, _)| viewer.sends_next_on()) {
            self.net.glance_flow::<Hint>(flow);
        }
    }

    /// The viewer whom a coming event concerns, and in what way.
    fn viewer_ahead(&self, others: usize) -> Option<(&Viewer<B::Peer>, Coming)> {
        let (host, coming) = match *self.queue.ahead(others)? {
            Event::Arrived(at) | Event::Delivered(at) => {
                let (flow, chunk) = self.net.on_its_way(at);
                let ([_, to], [_, from]) = self.net.ends(flow);
                let from = PeerId(from);
                (to, chunk.map_or(Coming::Word(from), |id| Coming::Chunk(from, id)))
            }
            Event::Acked(flow, _) => {
                let ([from, _], [to, _]) = self.net.ends(flow);
                (from, Coming::Unsent(PeerId(to)))
            }
            Event::PeerWake(viewer) => (viewer + self.edges_count(), Coming::Wake),
            _ => return None,
        };
        Some((self.viewers.get(self.viewer_of(host)? as usize)?, coming))
    }
}
