//! What will be needed in a moment?
//!
//! Each event concerns another host, and what a host has lies far from what another has: most of an event's time would go
//! by waiting for memory. So where the next events will look is brought near some events before their turn, one level after
//! the other: what is on its way, then its flow, then the viewer it goes to, then what that viewer's machine keeps elsewhere.
//! Invariant: nothing here changes anything.

use std::slice::from_ref;

use prefetch_index::prefetch_index;
use trellis_core::near::Near;

use super::viewer::Viewer;
use super::*;

/// How many events before its turn a frame on its way is brought near, ...
const FLIGHT: usize = 12;
/// ... and its flow, ...
const FLOW: usize = 10;
/// ... and, level by level, the viewer it goes to: in the time of two events memory answers.
const VIEWER: [usize; 4] = [8, 6, 4, 2];

/// A hint to the processor, which it may follow or not.
struct Hint;

impl Near for Hint {
    fn near<T>(place: &T) {
        prefetch_index(from_ref(place), 0);
    }
}

/// Who is at the other end of a link, and the chunk that comes from there.
type News = Option<(PeerId, Option<ChunkId>)>;

impl<C: Crypto, B: Brain<C>> World<C, B> {
    pub(super) fn look_ahead(&self) {
        if let Some(Event::Arrived(at) | Event::Delivered(at)) = self.queue.ahead(FLIGHT) {
            self.net.glance_flight::<Hint>(*at);
        }
        if let Some((flow, ..)) = self.flow_ahead(FLOW) {
            self.net.glance_flow::<Hint>(flow);
        }
        for (level, others) in (0..).zip(VIEWER) {
            if let Some((viewer, news)) = self.viewer_ahead(others) {
                viewer.glance::<_, Hint>(level, news);
            }
        }
    }

    /// The flow that a coming event is about, the chunk that comes on it, and whether its receiver is concerned.
    fn flow_ahead(&self, others: usize) -> Option<(FlowId, Option<ChunkId>, bool)> {
        match self.queue.ahead(others)? {
            Event::Arrived(at) | Event::Delivered(at) => {
                let (flow, chunk) = self.net.on_its_way(*at);
                Some((flow, chunk, true))
            }
            Event::Acked(flow, _) => Some((*flow, None, false)),
            _ => None,
        }
    }

    /// The viewer whom a coming event concerns.
    fn viewer_ahead(&self, others: usize) -> Option<(&Viewer<B::Peer>, News)> {
        let (host, news) = match (self.flow_ahead(others), self.queue.ahead(others)?) {
            (Some((flow, chunk, comes)), _) => {
                let (ends, names) = self.net.ends(flow);
                (ends[usize::from(comes)], Some((PeerId(names[usize::from(comes)]), chunk)))
            }
            (None, Event::PeerWake(viewer)) => (viewer + self.edges_count(), None),
            (None, _) => return None,
        };
        Some((self.viewers.get(self.viewer_of(host)? as usize)?, news))
    }
}
