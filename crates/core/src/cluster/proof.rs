//! What has a giver been seen to give? Its own measure proposes, its takers' receipts dispose.
//!
//! A belief grows to at most twice itself and twice what receipts show, so a liar is found out after a slot or two; it
//! falls to what the giver itself measures, and to what takers got when they say, twice in a row, that it was late.
//! Little demand is no sign of little capacity and lowers nothing.

use alloc::vec::Vec;
use core::time::Duration;

use trellis_proto::frame::Receipt;

use crate::time::Instant;

/// One giver's evidence since its last report.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    since: Instant,
    bytes: u64,
    near_bytes: u64,
    busy_us: u64,
    late: u32,
    bad: u8,
    parole_until: Instant,
    /// How often it was on parole.
    paroles: u8,
    /// It sent wrong bytes and gives to nobody any more.
    pub banned: bool,
    accusers: Vec<u64>,
}

/// What is believed after a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belief {
    /// α, bit/s.
    pub alpha_bps: u64,
    /// What of it nobody has seen.
    pub credit_bps: u64,
    /// It was found to give less than it promised.
    pub parole: bool,
}

/// What a giver's report is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What was believed so far.
    pub alpha_bps: u64,
    /// What it claims now; 0: nothing.
    pub claim_bps: u64,
    /// What it has promised.
    pub held_bps: u64,
    /// What takers in its own network may vouch for.
    pub near_bps: u64,
    /// A usual chunk.
    pub chunk_bytes: u64,
    /// Most givers are late: then it is not this one's fault.
    pub all_late: bool,
}

/// Less than this shows nothing.
const WINDOW_MIN: Duration = Duration::from_millis(1_500);
/// So much is late (per cent) of what a giver on the way to parole gives.
const LATE_PERCENT: u64 = 20;
/// Fewer late chunks are an accident.
const LATE_MIN: u32 = 8;
/// Reports in a row with that much late.
const BAD_WINDOWS: u8 = 2;
/// Nothing is believed anew for so long, the first time; each time twice as long.
const PAROLE: Duration = Duration::from_secs(30);
/// But no longer than that, doubled so often: half an hour.
const DOUBLED_MAX: u8 = 6;
/// Who accuses, by network: so many agree.
const ACCUSERS: usize = 2;

impl Proof {
    /// Begins now.
    pub fn new(now: Instant) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// A taker the cluster chose tells what it got; `near`: they share a network, so they may be one.
    pub fn receive(&mut self, receipt: &Receipt, near: bool) {
        let bytes = u64::from(receipt.bytes);
        *if near { &mut self.near_bytes } else { &mut self.bytes } += bytes;
        self.busy_us += u64::from(receipt.busy_us);
        self.late += u32::from(receipt.late);
    }

    /// A taker in this network says that bytes were wrong. True: enough of them agree now.
    pub fn accuse(&mut self, network: u64) -> bool {
        if !self.accusers.contains(&network) && self.accusers.len() < ACCUSERS {
            self.accusers.push(network);
        }
        let enough = self.accusers.len() == ACCUSERS && !self.banned;
        self.banned |= enough;
        enough
    }

    /// Was what it gave late when it was last judged?
    pub fn is_late(&self) -> bool {
        self.bad > 0
    }

    /// May it be lent something? Not while what it was lent before was lost.
    pub fn is_trusted(&self, now: Instant) -> bool {
        now >= self.parole_until && !self.banned
    }

    /// The giver reports: what is believed from now on; None: too early to say.
    pub fn judge(&mut self, now: Instant, case: Case) -> Option<Belief> {
        let window = now.since(self.since);
        if window < WINDOW_MIN {
            return None;
        }
        let micros = window.as_micros() as u64;
        let near = self.near_bytes.min(case.near_bps / 8_000 * micros / 1_000);
        let bytes = self.bytes + near;
        let sustained = rate(bytes, micros);
        let proven = sustained.max(if self.busy_us > 0 { rate(bytes, self.busy_us) } else { 0 });
        let chunks = bytes / case.chunk_bytes.max(1) + u64::from(self.late);
        let late = self.late >= LATE_MIN && u64::from(self.late) * 100 > chunks * LATE_PERCENT;
        self.bad = if late { self.bad.saturating_add(1) } else { 0 };
        let parole = self.bad >= BAD_WINDOWS && !case.all_late;
        if parole {
            self.bad = 0;
            self.parole_until = now + PAROLE * (1 << self.paroles.min(DOUBLED_MAX));
            self.paroles = self.paroles.saturating_add(1);
        }
        let alpha_bps = match case.claim_bps {
            _ if self.banned => 0,
            _ if parole => case.alpha_bps.min(sustained),
            0 => case.alpha_bps,
            claim if claim > case.alpha_bps && self.is_trusted(now) => {
                claim.min(case.alpha_bps.max(proven) * 2).min(case.alpha_bps.max(proven * 2))
            }
            claim => case.alpha_bps.min(claim),
        };
        // Who has promised nothing needs no credit: nobody relies on it.
        let unseen = if case.held_bps == 0 { 0 } else { alpha_bps.saturating_sub(2 * proven) };
        *self = Self {
            since: now,
            bad: self.bad,
            parole_until: self.parole_until,
            paroles: self.paroles,
            banned: self.banned,
            accusers: core::mem::take(&mut self.accusers),
            ..Self::default()
        };
        Some(Belief { alpha_bps, credit_bps: unseen, parole })
    }
}

fn rate(bytes: u64, micros: u64) -> u64 {
    bytes * 8_000_000 / micros.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trellis_proto::frame::PeerId;

    const CASE: Case = Case {
        alpha_bps: 1_000_000,
        claim_bps: 0,
        held_bps: 900_000,
        near_bps: 0,
        chunk_bytes: 6_500,
        all_late: false,
    };

    fn receipt(bytes: u32, late: u16) -> Receipt {
        Receipt { from: PeerId(1), bytes, late, busy_us: 4_000_000 }
    }

    /// What is believed after two seconds in which takers got `bytes`.
    fn after(proof: &mut Proof, case: Case, bytes: u32, late: u16) -> Belief {
        let now = proof.since + Duration::from_secs(2);
        proof.receive(&receipt(bytes, late), false);
        proof.judge(now, case).unwrap()
    }

    #[test]
    fn a_belief_at_most_doubles_and_never_beyond_twice_what_was_seen() {
        let claim = Case { claim_bps: 10_000_000, ..CASE };
        let alpha = |bytes| after(&mut Proof::default(), claim, bytes, 0).alpha_bps;
        assert_eq!(alpha(225_000), 1_800_000, "0.9 Mbit/s were seen");
        assert_eq!(alpha(1_000_000), 8_000_000, "4 Mbit/s were seen");
        assert_eq!(alpha(10_000), 1_000_000, "little demand lowers nothing");
        let modest = Case { claim_bps: 600_000, ..CASE };
        assert_eq!(after(&mut Proof::default(), modest, 225_000, 0).alpha_bps, 600_000, "its own measure does");
        assert_eq!(Proof::default().judge(Instant(1_000_000), claim), None, "too early");
    }

    #[test]
    fn what_was_seen_needs_no_credit_and_neither_does_who_has_promised_nothing() {
        assert_eq!(after(&mut Proof::default(), CASE, 125_000, 0).credit_bps, 0);
        assert_eq!(after(&mut Proof::default(), CASE, 25_000, 0).credit_bps, 800_000);
        let idle = Case { held_bps: 0, ..CASE };
        assert_eq!(after(&mut Proof::default(), idle, 0, 0).credit_bps, 0);
    }

    #[test]
    fn late_twice_in_a_row_is_parole_and_a_claim_is_not_heard_for_a_while() {
        let mut proof = Proof::default();
        let claim = Case { claim_bps: 1_000_000, ..CASE };
        assert!(!after(&mut proof, claim, 50_000, 20).parole);
        let belief = after(&mut proof, claim, 50_000, 20);
        assert_eq!(belief, Belief { alpha_bps: 200_000, credit_bps: 0, parole: true });
        let again = Case { alpha_bps: 200_000, ..claim };
        assert_eq!(after(&mut proof, again, 50_000, 0).alpha_bps, 200_000);
    }

    #[test]
    fn who_is_late_when_most_are_has_nothing_to_pass_on_and_keeps_what_it_can_give() {
        let (mut proof, crowded) = (Proof::default(), Case { all_late: true, ..CASE });
        for _ in 0..3 {
            assert_eq!(after(&mut proof, crowded, 50_000, 20).alpha_bps, 1_000_000);
        }
        assert!(after(&mut proof, CASE, 50_000, 20).parole, "it alone is late now");
    }

    #[test]
    fn takers_of_the_same_network_vouch_for_little_and_one_accuser_is_not_enough() {
        let mut proof = Proof::default();
        proof.receive(&receipt(2_500_000, 0), true);
        let case = Case { claim_bps: 20_000_000, near_bps: 1_000_000, ..CASE };
        assert_eq!(proof.judge(Instant(2_000_000), case).unwrap().alpha_bps, 2_000_000);
        assert!(!proof.accuse(7) && !proof.accuse(7));
        assert!(proof.accuse(8) && proof.banned);
        assert_eq!(after(&mut proof, case, 1_000_000, 0).alpha_bps, 0);
    }
}
