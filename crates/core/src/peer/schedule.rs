//! Whom to ask for a missing chunk, and when? A pure function; the caller sends.
//!
//! Sources in order: the parent that pushes it, until it is late; a neighbor that has it; the backup, which probably
//! has it; the edge, when the deadline leaves no time for another try. The edge is never late and never free.

use trellis_proto::frame::PeerId;

use crate::time::Instant;

/// A missing chunk and what is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// When the parent that pushes it counts as late; None: nobody pushes it.
    pub late_at: Option<Instant>,
    /// Who was asked, and until when it may take.
    pub asked: Option<(PeerId, Instant)>,
    /// The last moment to ask the edge; None: this layer is not worth it.
    pub rescue_at: Option<Instant>,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing before then, unless something changes.
    Wait(Instant),
    /// Nothing, unless something changes.
    Hope,
    /// Ask this peer.
    Pull(PeerId),
    /// Ask the edge: the deadline is near.
    Rescue,
}

/// Decides for one chunk. Only when it comes to it, `helper` is searched for: the best neighbor that has it, else the
/// substream's backup, when it can be asked and was not asked for this already.
pub fn decide(now: Instant, missing: &Missing, helper: impl FnOnce() -> Option<PeerId>) -> Verdict {
    let asked = missing.asked.filter(|(_, until)| now < *until);
    let rescued = asked.is_some_and(|(whom, _)| whom.is_edge());
    match missing.rescue_at {
        Some(at) if now >= at && !rescued => return Verdict::Rescue,
        _ => {}
    }
    let patience = [asked.map(|(_, until)| until), missing.late_at.filter(|late_at| now < *late_at)];
    if let Some(until) = patience.into_iter().flatten().max() {
        return Verdict::Wait(earlier(until, missing.rescue_at.filter(|_| !rescued)));
    }
    match (helper(), missing.rescue_at) {
        (Some(peer), _) => Verdict::Pull(peer),
        (None, Some(at)) => Verdict::Wait(at),
        (None, None) => Verdict::Hope,
    }
}

fn earlier(until: Instant, rescue_at: Option<Instant>) -> Instant {
    rescue_at.map_or(until, |at| until.min(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT_WELL: Missing = Missing { late_at: Some(Instant(300)), asked: None, rescue_at: Some(Instant(800)) };

    #[test]
    fn the_parent_then_a_helper_then_the_edge() {
        let unasked = || unreachable!("the parent has its time");
        assert_eq!(decide(Instant(100), &PARENT_WELL, unasked), Verdict::Wait(Instant(300)));
        assert_eq!(decide(Instant(300), &PARENT_WELL, || Some(PeerId(5))), Verdict::Pull(PeerId(5)));
        assert_eq!(decide(Instant(300), &PARENT_WELL, || None), Verdict::Wait(Instant(800)));
        assert_eq!(decide(Instant(800), &PARENT_WELL, || None), Verdict::Rescue);
        assert_eq!(decide(Instant(800), &Missing { rescue_at: None, ..PARENT_WELL }, || None), Verdict::Hope);
    }

    #[test]
    fn an_ask_has_its_time_but_not_beyond_the_deadline() {
        let helper = || Some(PeerId(9));
        let asked = Missing { asked: Some((PeerId(5), Instant(700))), ..PARENT_WELL };
        assert_eq!(decide(Instant(400), &asked, helper), Verdict::Wait(Instant(700)));
        assert_eq!(decide(Instant(700), &asked, helper), Verdict::Pull(PeerId(9)));
        assert_eq!(decide(Instant(800), &asked, helper), Verdict::Rescue);
        let rescued = Missing { asked: Some((PeerId::EDGE, Instant(1_100))), ..PARENT_WELL };
        assert_eq!(decide(Instant(900), &rescued, helper), Verdict::Wait(Instant(1_100)));
        assert_eq!(decide(Instant(1_100), &rescued, helper), Verdict::Rescue);
    }
}
