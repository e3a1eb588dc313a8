//! What follows from what peers saw? Their reports move what givers are believed to carry, and take children from
//! those who are late, gone or not to be reached.

use alloc::vec::Vec;
use core::time::Duration;

use trellis_proto::frame::{Complaint, Fault, Hello, Nat, Report};

use super::admission::{self, Numbers};
use super::lanes::LayerMask;
use super::ledger::Ledger;
use super::neighbors::Stretch;
use super::overlay::Overlay;
use super::proof::Case;
use super::roster::{EDGE, Slot};
use super::trees::{NONE, NodeId};
use super::{Cluster, Config, Event, Output, Payload};
use crate::time::Instant;

impl<P: Payload> Cluster<P> {
    pub(super) fn handle_report(&mut self, slot: Slot, report: Report) {
        self.hold.report(report.delay_us);
        self.overlay.receive(slot, &report);
        if report.buffer_us == u32::MAX && self.is_recorded() {
            self.overlay.complete(slot);
        }
        if self.is_recorded() {
            self.overlay.has(slot, Stretch::new(&report));
        }
        self.judge(slot, report.alpha_bps);
        for complaint in report.complaints {
            let blame = self.overlay.complain(self.now, slot, complaint);
            let giver = self.overlay.roster.by_id(complaint.peer);
            let session = giver.and_then(|giver| self.overlay.roster.get(giver)).map(|peer| peer.session);
            match (blame, giver.zip(session)) {
                (Some(Blame::Ban), Some((giver, session))) => {
                    self.overlay.set_alpha(giver, 0, 0);
                    self.out.push_back(Output::Event(Event::Banned(complaint.peer, session)));
                }
                (Some(Blame::Rest), Some(_)) => {
                    self.out.push_back(Output::Event(Event::Parole(complaint.peer, complaint.fault)));
                }
                _ => {}
            }
        }
    }

    /// What is believed of a giver after its report.
    fn judge(&mut self, slot: Slot, claim_bps: u64) {
        let account = self.overlay.ledger.account(slot);
        let room = self.overlay.ledger.credit_room_bps();
        let (chunk_bytes, all_late) = (self.chunk_bytes(), self.overlay.all_late);
        let Some(peer) = self.overlay.roster.get_mut(slot) else { return };
        if peer.receive_only || peer.nat == Nat::Blocked || (self.config.after_completion && !peer.complete) {
            return;
        }
        let rate = self.overlay.lanes.rate_bps(peer.layers);
        let case = Case {
            alpha_bps: account.alpha_bps,
            claim_bps,
            held_bps: account.held_bps,
            near_bps: rate,
            chunk_bytes,
            all_late,
        };
        let Some(mut belief) = peer.proof.judge(self.now, case) else { return };
        if belief.alpha_bps == 0 && peer.proof.is_trusted(self.now) {
            // It came when credit was spent, or has only now become a supporting peer: then nobody asked it for anything
            // yet, and it may not know itself what it can give.
            let unknown = claim_bps == 0 && self.config.after_completion;
            belief.alpha_bps = if unknown { usual_bps(&self.config, self.usual_bps, rate) } else { claim_bps };
            // A supporting peer is to carry a whole session more.
            let most = if self.config.after_completion { Ledger::carrying(rate) } else { rate };
            belief.alpha_bps = belief.alpha_bps.min(most).min(room);
            belief.credit_bps = belief.alpha_bps;
        }
        let id = peer.id;
        self.overlay.set_alpha(slot, belief.alpha_bps, belief.credit_bps);
        if belief.parole {
            self.out.push_back(Output::Event(Event::Parole(id, Fault::Silent)));
        }
    }

    /// A usual chunk of the first layer.
    fn chunk_bytes(&self) -> u64 {
        let part_us = self.catalogue.as_ref().map_or(0, |(catalogue, _)| u64::from(catalogue.part_target_us));
        if self.overlay.lanes.len() == 0 { 0 } else { self.overlay.lanes.slot_bps(0) * part_us / 8_000_000 }
    }

    /// How many can be started at a time; on demand everybody is at once where playback is.
    pub(super) fn newcomers_max(&self, layers: LayerMask, past_bits: u64) -> u64 {
        if self.is_recorded() {
            return u64::MAX;
        }
        let (capacity, held) = self.overlay.ledger.peers_bps();
        let (spare, rate) = (capacity.saturating_sub(held), self.overlay.lanes.rate_bps(layers));
        admission::newcomers_max(self.overlay.ledger.budget_bps(), spare, rate, past_bits)
    }

    /// What a newcomer counts with until it was seen to give.
    pub(super) fn credit(&self, hello: &Hello, layers: LayerMask) -> u64 {
        if hello.receive_only || hello.nat == Nat::Blocked || self.config.after_completion {
            return 0;
        }
        let rate = self.overlay.lanes.rate_bps(layers);
        let stated = Some(hello.declared_bps).filter(|bps| *bps > 0);
        let bps = stated.unwrap_or_else(|| usual_bps(&self.config, self.usual_bps, rate));
        bps.min(rate).min(self.overlay.ledger.credit_room_bps())
    }

    pub(super) fn numbers(&self, layers: LayerMask, credit_bps: u64, nat: Nat, fill_bits: u64) -> Numbers {
        let overlay = &self.overlay;
        let ledger = &overlay.ledger;
        let wanted_bps = overlay.lanes.rate_bps(layers);
        let wanted = overlay.lanes.of(layers).count() as u32;
        // Where many are late, peers have less to give than they were believed to: nobody comes in on that. Nor where no
        // promise of theirs counts.
        let shut = nat == Nat::Blocked || overlay.many_late || !overlay.is_planned();
        let open_bps = if shut { 0 } else { overlay.open_bps() + own_bps(overlay, credit_bps) };
        let from_peers_bps = open_bps.min(wanted_bps);
        let from_peers = (u64::from(wanted) * from_peers_bps / wanted_bps.max(1)) as u32;
        Numbers {
            wanted,
            from_peers,
            rest_bps: wanted_bps - from_peers_bps,
            edge_free_bps: match overlay.is_planned() {
                true => ledger.free_bps(EDGE),
                false => ledger.account(EDGE).capacity_bps.saturating_sub(self.load.bps()),
            },
            fill_bits,
            start_up_bits: self.feed.fill_bits(),
            start_up_bps: self.feed.fill_bps(),
            growth_bps2: self.growth_bps2.saturating_add(self.relief_bps2),
            newcomers: 0,
            newcomers_max: u64::MAX,
            ahead: 0,
            present: overlay.roster.len() as u64,
            owed_bits: self.feed.owed_bits(),
        }
    }
}

/// What enough complaints lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// It gives to nobody any more.
    Ban,
    /// It gets no new children for a while.
    Rest,
}

/// Two peers that cannot link, or one of whom cheats, are not planned together for so long.
const SHUNNED_LONG: Duration = Duration::from_secs(600);
/// However little others give, a newcomer counts with this part of what it takes.
const CREDIT_LEAST: u64 = 4;
/// Givers looked at to know what is usual, ...
const SEEN_FROM: usize = 64;
/// ... of whom at least so many must have been seen to give.
const SEEN_MIN: usize = 8;
/// And two of whom one was late.
const SHUNNED_SHORT: Duration = Duration::from_secs(20);

/// What somebody counts with of whom nothing is known.
fn usual_bps(config: &Config, seen_bps: u64, rate_bps: u64) -> u64 {
    if config.prior_bps > 0 { config.prior_bps } else { seen_bps.max(rate_bps / CREDIT_LEAST) }
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

    /// What three in four givers were seen to give, at least; None: too few were seen.
    pub(super) fn usual_bps(&self) -> Option<u64> {
        let all = self.roster.present();
        let some = all.iter().step_by(all.len() / SEEN_FROM + 1).map(|slot| self.ledger.account(*slot));
        let mut seen: Vec<_> = some.filter(|a| a.credit_bps == 0 && a.held_bps > 0).map(|a| a.alpha_bps).collect();
        seen.sort_unstable();
        (seen.len() >= SEEN_MIN).then(|| seen[seen.len() / 4])
    }

    /// A giver's uplink is believed to carry something else now.
    pub(super) fn set_alpha(&mut self, slot: Slot, alpha_bps: u64, credit_bps: u64) {
        if self.roster.get(slot).is_none_or(|peer| peer.leaving.is_some()) {
            return;
        }
        let before = self.ledger.account(slot).capacity_bps;
        self.ledger.believe(slot, alpha_bps, credit_bps);
        let now = self.ledger.account(slot).capacity_bps;
        if now.abs_diff(before) > before / 4 || self.ledger.account(slot).held_bps > now {
            self.shed(slot);
        }
    }

    /// Counts what a taker got from those the cluster chose for it; what others sent proves nothing.
    pub(super) fn receive(&mut self, slot: Slot, report: &Report) {
        let Some(taker) = self.roster.get(slot) else { return };
        let locality = taker.locality;
        let mut chosen = taker.neighbors.clone();
        for (lane, node) in &taker.seats {
            let tree = &self.trees[usize::from(*lane)];
            let n = tree.node(*node);
            let givers = [n.parent, n.backup].into_iter().filter(|node| *node != NONE);
            chosen.extend(givers.map(|node| tree.node(node).peer));
        }
        for receipt in &report.receipts {
            let giver = self.roster.by_id(receipt.from).filter(|giver| chosen.contains(giver));
            if let Some(giver) = giver.and_then(|giver| self.roster.get_mut(giver)) {
                let place = &giver.locality;
                let near = (place.lan != 0 && place.lan == locality.lan)
                    || (place.prefix != 0 && place.prefix == locality.prefix);
                giver.proof.receive(receipt, near);
            }
        }
    }

    /// A peer says that another did wrong: it need not take from it any more.
    pub(super) fn complain(&mut self, now: Instant, slot: Slot, complaint: Complaint) -> Option<Blame> {
        let giver = self.roster.by_id(complaint.peer).filter(|giver| *giver != slot)?;
        if complaint.fault == Fault::Silent && self.all_late {
            // Who turned from one late giver to the next would only be left without any.
            return None;
        }
        let linked = self.takes_from(slot, giver);
        let peer = self.roster.get_mut(slot)?;
        let lasting = matches!(complaint.fault, Fault::BadChunk | Fault::Protocol | Fault::Unreachable);
        peer.shun(complaint.peer, now + if lasting { SHUNNED_LONG } else { SHUNNED_SHORT });
        let network = match peer.locality.prefix {
            0 => u64::from(peer.id.0),
            prefix => prefix,
        };
        self.turn_away(slot, giver);
        let giver = self.roster.get_mut(giver).filter(|_| linked)?;
        match complaint.fault {
            Fault::BadChunk => giver.proof.accuse(network).then_some(Blame::Ban),
            Fault::Gone | Fault::Silent => giver.blame().then_some(Blame::Rest),
            Fault::Unreachable | Fault::Protocol => None,
        }
    }

    /// Did the cluster choose this giver for this taker?
    fn takes_from(&self, slot: Slot, giver: Slot) -> bool {
        let Some(taker) = self.roster.get(slot) else { return false };
        taker.neighbors.contains(&giver)
            || taker.seats.iter().any(|(lane, node)| {
                let tree = &self.trees[usize::from(*lane)];
                let n = tree.node(*node);
                [n.parent, n.backup].into_iter().any(|from| from != NONE && tree.node(from).peer == giver)
            })
    }

    /// Whatever a peer has from another, it gets from somebody else.
    fn turn_away(&mut self, slot: Slot, giver: Slot) {
        for (lane, node) in self.seats(slot) {
            let tree = &self.trees[usize::from(lane)];
            let n = tree.node(node);
            let is_giver = |from: NodeId| from != NONE && tree.node(from).peer == giver;
            let (parent, backup) = (is_giver(n.parent), is_giver(n.backup));
            if parent {
                self.detach(lane, node);
                self.place(lane, node);
            } else if backup {
                self.choose_backup(lane, node);
            }
        }
    }
}
