//! What do others hear of me: neighbors what I have, the edge how it goes and who did wrong.

use alloc::vec::Vec;

use core::time::Duration;

use trellis_proto::frame::{Complaint, Fault, Frame, PartId, PeerId, Report};

use super::event::Output;
use super::store::Held;
use super::{Peer, duration_us};
use crate::time::Instant;
use crate::trust::Verifier;

impl<V: Verifier> Peer<V> {
    pub(super) fn tell_neighbors(&mut self) {
        let to: Vec<_> = self.neighbors.gossiping().collect();
        let news = self.gossip.take_news();
        if !self.supports() || self.is_recorded() {
            return;
        }
        for rows in news {
            for peer in &to {
                self.send(*peer, Frame::Have(rows.clone()));
            }
        }
    }

    /// A neighbor hears what I have.
    pub(super) fn introduce(&mut self, peer: PeerId) {
        let tells = self.supports() && !self.is_recorded();
        let rows = if tells { self.store.rows(TELL_PARTS) } else { Vec::new() };
        for rows in rows.chunks(crate::limits::ROWS_MAX) {
            self.send(peer, Frame::Have(rows.to_vec()));
        }
    }

    pub(super) fn report(&mut self, now: Instant) {
        self.worst_delays.sort_unstable();
        let delay_us = self.worst_delays.get(self.worst_delays.len() * 99 / 100).copied().unwrap_or(0);
        self.worst_delays.clear();
        let at_us = self.playback.cursor().map_or(0, |cursor| cursor.start_us);
        let (back, buffer) = self.around(at_us);
        let report = Report {
            plan: self.plan,
            alpha_bps: self.uplink.alpha_bps(),
            queue_us: self.uplink.take_queue_worst().as_micros() as u32,
            delay_us,
            buffer_us: if self.completed { u32::MAX } else { buffer.min(u64::from(u32::MAX - 1)) as u32 },
            at_us,
            back_us: back.min(u64::from(u32::MAX)) as u32,
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

    /// What is here without a gap before the playhead, and from it on, µs. Of a live stream nobody asks for the former.
    fn around(&self, at_us: u64) -> (u64, u64) {
        let Some(cursor) = self.playback.cursor() else { return (0, 0) };
        let playable = |(id, held): &(PartId, &Held<V::Payload>)| id.run == cursor.part.run && held.is_playable();
        let ahead = self.store.from(cursor.part).take_while(playable);
        let until_us = ahead.last().map_or(at_us, |(_, held)| held.descriptor.start_us + duration_us(&held.descriptor));
        let back = self.store.before(cursor.part).take_while(playable);
        let from_us = back.filter(|_| self.is_recorded()).last().map_or(at_us, |(_, held)| held.descriptor.start_us);
        (at_us.saturating_sub(from_us), until_us.saturating_sub(at_us))
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
