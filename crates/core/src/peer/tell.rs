//! What do others hear of me: neighbors what I have, the edge how it goes and who did wrong.

use alloc::vec::Vec;

use core::time::Duration;

use trellis_proto::frame::{Complaint, Fault, Frame, PeerId, Report};

use super::Peer;
use super::event::Output;
use crate::time::Instant;
use crate::trust::Verifier;

impl<V: Verifier> Peer<V> {
    pub(super) fn tell_neighbors(&mut self) {
        let to: Vec<_> = self.neighbors.gossiping().collect();
        let news = if self.supports() { self.gossip.take_news() } else { Vec::new() };
        for rows in news {
            for peer in &to {
                self.send(*peer, Frame::Have(rows.clone()));
            }
        }
    }

    /// A neighbor hears what I have.
    pub(super) fn introduce(&mut self, peer: PeerId) {
        let rows = if self.supports() { self.store.rows(TELL_PARTS) } else { Vec::new() };
        for rows in rows.chunks(crate::limits::ROWS_MAX) {
            self.send(peer, Frame::Have(rows.to_vec()));
        }
    }

    pub(super) fn report(&mut self, now: Instant) {
        self.worst_delays.sort_unstable();
        let delay_us = self.worst_delays.get(self.worst_delays.len() * 99 / 100).copied().unwrap_or(0);
        self.worst_delays.clear();
        let newest = self.store.newest().and_then(|id| self.store.get(id)).map(|held| held.descriptor.start_us);
        let playing = self.playback.cursor().map(|cursor| cursor.start_us);
        let buffer = newest.zip(playing).map_or(0, |(newest, playing)| newest.saturating_sub(playing));
        let report = Report {
            plan: self.plan,
            alpha_bps: self.uplink.alpha_bps(),
            queue_us: self.uplink.take_queue_worst().as_micros() as u32,
            delay_us,
            buffer_us: if self.completed { u32::MAX } else { buffer.min(u64::from(u32::MAX - 1)) as u32 },
            stalled_us: self.playback.take_stalled(now).as_micros() as u32,
            receipts: self.neighbors.take_receipts(),
            complaints: core::mem::take(&mut self.complaints),
        };
        self.send(PeerId::EDGE, Frame::Report(report));
        let (upstream, downstream) = (&self.upstream, &self.downstream);
        for peer in self.neighbors.take_idle(now, |peer| upstream.needs(peer) || downstream.knows(peer)) {
            self.gossip.lose(peer);
            self.outbox.remove(peer);
            self.out.push_back(Output::Disconnect(peer));
        }
    }

    /// The edge hears of it at once, together with what else happened within a moment.
    pub(super) fn complain(&mut self, now: Instant, peer: PeerId, fault: Fault) {
        let complaint = Complaint { peer, fault };
        if self.complaints.len() < COMPLAINTS_MAX && !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
        self.timers.report = self.timers.report.min(now + COMPLAIN_DELAY);
    }
}

/// Newest parts a new neighbor hears of.
const TELL_PARTS: usize = 12;
const COMPLAINTS_MAX: usize = 32;
const COMPLAIN_DELAY: Duration = Duration::from_millis(30);
