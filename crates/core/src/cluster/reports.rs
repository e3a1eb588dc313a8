//! What follows from what peers saw? Their reports move what givers are believed to carry, and take children from
//! those who are late, gone or not to be reached.

use core::time::Duration;

use trellis_proto::frame::{Complaint, Nat, Report};

use super::admission::Numbers;
use super::lanes::LayerMask;
use super::overlay::Overlay;
use super::roster::{EDGE, Slot};
use super::{Cluster, Payload};

impl<P: Payload> Cluster<P> {
    pub(super) fn handle_report(&mut self, slot: Slot, report: Report) {
        if report.alpha_bps > 0 && !self.config.after_completion {
            let believed = self.overlay.ledger.account(slot).capacity_bps.max(50_000);
            let alpha = report.alpha_bps.min(believed * 2);
            self.overlay.set_alpha(slot, alpha, 0);
        }
        for complaint in report.complaints {
            self.overlay.complain(slot, complaint);
        }
    }

    pub(super) fn numbers(&self, layers: LayerMask, credit_bps: u64, nat: Nat, fill: Duration) -> Numbers {
        let overlay = &self.overlay;
        let ledger = &overlay.ledger;
        let wanted_bps = overlay.lanes.rate_bps(layers);
        let wanted = overlay.lanes.of(layers).count() as u32;
        let open_bps = if nat == Nat::Blocked { 0 } else { overlay.open_bps() + own_bps(overlay, credit_bps) };
        let from_peers_bps = open_bps.min(wanted_bps);
        let from_peers = (u64::from(wanted) * from_peers_bps / wanted_bps.max(1)) as u32;
        let viewers = overlay.roster.len() as u64;
        Numbers {
            wanted,
            from_peers,
            rest_bps: wanted_bps - from_peers_bps,
            edge_free_bps: ledger.free_bps(EDGE),
            fill_bits: wanted_bps / 1000 * fill.as_millis() as u64 / (1 + viewers.min(7)),
            start_up_bits: self.feed.favor_bits() + ledger.free_bps(EDGE),
            start_up_bps: ledger.start_up_bps(),
            growth_bps2: ledger.credit_bps() / 4,
        }
    }
}

/// What a newcomer itself brings: it can take a leaf's place and serve it, where there is a leaf.
fn own_bps(overlay: &Overlay, credit_bps: u64) -> u64 {
    if overlay.roster.len() == 0 || !overlay.orphans.is_empty() { 0 } else { credit_bps / 100 * 95 }
}

impl Overlay {
    /// What peers may still be given as children, bit/s.
    pub(super) fn open_bps(&self) -> u64 {
        let open = |lane: usize| self.trees[lane].open_slots() * self.lanes.slot_bps(lane as u16);
        let waiting: u64 = self.orphans.iter().map(|(lane, _)| self.lanes.slot_bps(*lane)).sum();
        (0..self.trees.len()).map(open).sum::<u64>().saturating_sub(waiting)
    }

    /// A giver's uplink is believed to carry something else now.
    pub(super) fn set_alpha(&mut self, slot: Slot, alpha_bps: u64, credit_bps: u64) {
        if self.roster.get(slot).is_none_or(|peer| peer.leaving.is_some()) {
            return;
        }
        let before = self.ledger.account(slot).capacity_bps;
        self.ledger.believe(slot, alpha_bps, credit_bps);
        let now = self.ledger.account(slot).capacity_bps;
        if now.abs_diff(before) > before / 10 || self.ledger.account(slot).held_bps > now {
            self.shed(slot);
        }
    }

    /// A peer says that another did wrong.
    pub(super) fn complain(&mut self, slot: Slot, complaint: Complaint) {
        if complaint.peer.is_edge() {
            return;
        }
        if let Some(peer) = self.roster.get_mut(slot) {
            peer.shun(complaint.peer);
        }
        let Some(giver) = self.roster.by_id(complaint.peer) else { return };
        for (lane, node) in self.seats(slot) {
            let tree = &self.trees[usize::from(lane)];
            let from = |node: u32| tree.parent(node).map(|parent| tree.node(parent).peer);
            if from(node) == Some(giver) {
                self.detach(lane, node);
                self.place(lane, node);
            }
        }
    }
}
