//! Which edge takes this viewer? The living one that is not draining and has, relative to its size, most room;
//! or none, and then when to ask again.
//!
//! An edge's room is `capacity − committed − pending`: what it said in its last beat, less what was granted since.
//! Think of a doorkeeper who counts whom he sent in until the usher next calls out the free seats. A grant stops
//! being pending when a beat contains it, or after [`PENDING_LIFE`], for some viewers never come; so a pick never
//! promises a room twice, and a crowd that vanishes on the way blocks it for seconds only.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::time::Duration;

use crate::time::Instant;

/// How long a grant counts as on its way, at most: a player opens what it was given at once, and whoever never does must
/// not hold a place for long. One that comes later is taken if there is room, which its edge knows.
pub const PENDING_LIFE: Duration = Duration::from_secs(PENDING_SLOTS as u64);
/// Most edges one manager keeps; a pick looks at each.
pub const EDGES_MAX: usize = 1024;
/// Nobody is sent away for less: the state behind the answer is a beat old.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(2);
/// Nobody is sent away for more, whatever the caller adds to spread a crowd: rooms free up in ways departures do not
/// foretell, such as a new edge.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// The most that is said here: half as much again fits below [`RETRY_AFTER_MAX`].
pub const RETRY_AFTER_SAID_MAX: Duration = Duration::from_secs(20);
/// With no edge alive: one that restarts is back within this time.
pub const RETRY_AFTER_NO_EDGE: Duration = Duration::from_secs(5);

const PENDING_SLOTS: usize = 5;

/// What an edge says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beat {
    /// Upload budget, bit/s.
    pub capacity_bps: u64,
    /// Sum of the rates of the sessions it holds, bit/s.
    pub committed_bps: u64,
    /// Sum of the rates of all sessions it took up since it started, bit/s. Falls only when it was restarted.
    pub admitted_bps_total: u64,
    /// Sessions it holds.
    pub sessions: u32,
    /// Sessions that ended within the last minute.
    pub departures_per_minute: u32,
    /// It takes no new viewers.
    pub draining: bool,
}

/// One edge as the manager knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    name: String,
    beat: Beat,
    last_beat: Instant,
    pending: Pending,
}

/// No edge has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// When enough sessions will have left, by the departures the edges report; 2 to 20 s.
    pub retry_after: Duration,
}

/// There are [`EDGES_MAX`] edges already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyEdges;

/// The edges and what was promised of them.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// Sorted by name, so that equal rooms are told apart the same way everywhere.
    edges: Vec<Edge>,
    dead_after: Duration,
}

impl Redirect {
    /// An edge that is silent for `dead_after` is dead.
    pub fn new(dead_after: Duration) -> Self {
        Self { edges: Vec::new(), dead_after }
    }

    /// An edge reports. True: it is new.
    pub fn on_beat(&mut self, now: Instant, name: &str, beat: Beat) -> Result<bool, TooManyEdges> {
        match self.position(name) {
            Ok(at) => {
                self.edges[at].on_beat(now, beat);
                Ok(false)
            }
            Err(_) if self.edges.len() == EDGES_MAX => Err(TooManyEdges),
            Err(at) => {
                self.edges.insert(at, Edge { name: name.into(), beat, last_beat: now, pending: Pending::default() });
                Ok(true)
            }
        }
    }

    /// Forgets the edges that fell silent and names them.
    pub fn expire(&mut self, now: Instant) -> Vec<String> {
        let dead_after = self.dead_after;
        self.edges.extract_if(.., |edge| now.since(edge.last_beat) > dead_after).map(|edge| edge.name).collect()
    }

    /// The edge that takes a viewer of this rate; the rate is set aside there until a beat contains it.
    /// Allocates nothing; looks at every edge once.
    pub fn pick(&mut self, now: Instant, rate_bps: u64) -> Result<&str, Refusal> {
        let mut best: Option<(usize, Room)> = None;
        for (at, edge) in self.edges.iter_mut().enumerate() {
            edge.pending.advance(now);
            let room = edge.room();
            let fits = edge.takes_viewers(now, self.dead_after) && room.free_bps >= rate_bps;
            if fits && best.is_none_or(|(_, best)| room.exceeds(best)) {
                best = Some((at, room));
            }
        }
        let Some((at, _)) = best else { return Err(self.refusal(now, rate_bps)) };
        self.edges[at].pending.grant(rate_bps);
        Ok(&self.edges[at].name)
    }

    /// All edges, by name.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.edges.binary_search_by(|edge| edge.name.as_str().cmp(name))
    }

    /// When to ask again: the soonest that any edge expects to have room.
    fn refusal(&self, now: Instant, rate_bps: u64) -> Refusal {
        let mut living = self.edges.iter().filter(|edge| edge.takes_viewers(now, self.dead_after)).peekable();
        let retry_after = match living.peek() {
            None => RETRY_AFTER_NO_EDGE,
            Some(_) => living.filter_map(|edge| edge.relief(rate_bps)).min().unwrap_or(RETRY_AFTER_SAID_MAX),
        };
        Refusal { retry_after: retry_after.clamp(RETRY_AFTER_MIN, RETRY_AFTER_SAID_MAX) }
    }
}

impl Edge {
    /// The name it reports under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it said last.
    pub fn beat(&self) -> &Beat {
        &self.beat
    }

    /// When it said it.
    pub fn last_beat(&self) -> Instant {
        self.last_beat
    }

    /// Rates granted that no beat contains yet, bit/s, as of the last beat or pick.
    pub fn pending_bps(&self) -> u64 {
        self.pending.sum
    }

    fn on_beat(&mut self, now: Instant, beat: Beat) {
        self.pending.advance(now);
        // A total that fell began at zero with a restart: all of it is new.
        let (before, total) = (self.beat.admitted_bps_total, beat.admitted_bps_total);
        self.pending.arrived(total.checked_sub(before).unwrap_or(total));
        self.beat = beat;
        self.last_beat = now;
    }

    fn takes_viewers(&self, now: Instant, dead_after: Duration) -> bool {
        !self.beat.draining && now.since(self.last_beat) <= dead_after
    }

    fn room(&self) -> Room {
        let taken = self.beat.committed_bps.saturating_add(self.pending.sum);
        Room { free_bps: self.beat.capacity_bps.saturating_sub(taken), capacity_bps: self.beat.capacity_bps }
    }

    /// How long until enough sessions will have left for one more of this rate. None: never, or nobody leaves.
    fn relief(&self, rate_bps: u64) -> Option<Duration> {
        if self.beat.capacity_bps < rate_bps || self.beat.departures_per_minute == 0 {
            return None;
        }
        let mean = (self.beat.committed_bps / u64::from(self.beat.sessions.max(1))).max(1);
        let leavers = rate_bps.saturating_sub(self.room().free_bps).div_ceil(mean);
        Some(Duration::from_secs(leavers.saturating_mul(60).div_ceil(u64::from(self.beat.departures_per_minute))))
    }
}

/// An edge's room for viewers.
#[derive(Debug, Clone, Copy)]
struct Room {
    free_bps: u64,
    capacity_bps: u64,
}

impl Room {
    /// More free in proportion; at the same proportion, more free. (a/b > c/d as ad > cb: no division, no rounding.)
    fn exceeds(self, other: Room) -> bool {
        let here = u128::from(self.free_bps) * u128::from(other.capacity_bps);
        let there = u128::from(other.free_bps) * u128::from(self.capacity_bps);
        here.cmp(&there).then(self.free_bps.cmp(&other.free_bps)) == Ordering::Greater
    }
}

/// Grants on their way, by the second they were given: a ring of the last five seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Pending {
    /// bit/s granted in second `s` stands in slot `s % 5`.
    slots: [u64; PENDING_SLOTS],
    /// The newest second.
    second: u64,
    /// Of all slots.
    sum: u64,
}

impl Pending {
    /// Forgets what is too old.
    fn advance(&mut self, now: Instant) {
        let second = now.0 / 1_000_000;
        let passed = second.saturating_sub(self.second).min(PENDING_SLOTS as u64);
        for i in 1..=passed {
            self.sum -= core::mem::take(&mut self.slots[((self.second + i) % PENDING_SLOTS as u64) as usize]);
        }
        self.second = self.second.max(second);
    }

    fn grant(&mut self, rate_bps: u64) {
        // Capped at what leaves the sum in range; the room is long gone by then.
        let rate = rate_bps.min(u64::MAX - self.sum);
        self.slots[(self.second % PENDING_SLOTS as u64) as usize] += rate;
        self.sum += rate;
    }

    /// Strikes out what came, oldest first. Which grant came is not known; taking the oldest keeps what remains
    /// counted longest, so an error is on the side of room not promised.
    fn arrived(&mut self, mut bps: u64) {
        for i in 1..=PENDING_SLOTS as u64 {
            let slot = &mut self.slots[((self.second + i) % PENDING_SLOTS as u64) as usize];
            let struck = bps.min(*slot);
            *slot -= struck;
            self.sum -= struck;
            bps -= struck;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const MBIT: u64 = 1_000_000;
    const NO_ROOM: Result<&str, Refusal> = Err(Refusal { retry_after: RETRY_AFTER_SAID_MAX });

    fn at(ms: u64) -> Instant {
        Instant(ms * 1000)
    }

    fn beat(capacity: u64, committed: u64) -> Beat {
        Beat { capacity_bps: capacity * MBIT, committed_bps: committed * MBIT, ..Beat::default() }
    }

    fn redirect(edges: &[(&str, Beat)]) -> Redirect {
        let mut redirect = Redirect::new(Duration::from_millis(3_500));
        for (name, beat) in edges {
            assert_eq!(redirect.on_beat(at(0), name, *beat), Ok(true));
        }
        redirect
    }

    fn picks(redirect: &mut Redirect, ms: u64, rate: u64, times: usize) -> Vec<Result<String, Refusal>> {
        (0..times).map(|_| redirect.pick(at(ms), rate * MBIT).map(String::from)).collect()
    }

    fn retry(seconds: u64) -> Refusal {
        Refusal { retry_after: Duration::from_secs(seconds) }
    }

    #[test]
    fn viewers_go_where_relative_room_is_and_never_beyond_it() {
        // a: 4 of 10 free, b: 10 of 20 free. Ties go to more absolute room, then to the first name.
        let mut redirect = redirect(&[("b", beat(20, 10)), ("a", beat(10, 6)), ("full", beat(50, 50))]);
        let mut expected: Vec<_> = ["b", "b", "a", "b", "b", "a", "b"].map(|name| Ok(name.into())).into();
        expected.push(Err(retry(20)));
        assert_eq!(picks(&mut redirect, 1, 2, 8), expected);
        let equal = [("y", beat(10, 0)), ("x", beat(10, 0))];
        assert_eq!(self::redirect(&equal).pick(at(1), MBIT), Ok("x"));
    }

    #[test]
    fn dead_and_draining_edges_get_nobody() {
        let draining = Beat { draining: true, ..beat(100, 0) };
        let mut redirect = redirect(&[("draining", draining), ("silent", beat(100, 0)), ("well", beat(10, 9))]);
        assert_eq!(redirect.on_beat(at(3_000), "well", beat(10, 9)), Ok(false));
        assert_eq!(redirect.pick(at(3_501), MBIT), Ok("well"));
        assert_eq!(redirect.expire(at(3_501)), vec![String::from("draining"), String::from("silent")]);
        assert_eq!(redirect.edges().iter().map(Edge::name).collect::<Vec<_>>(), ["well"]);
        assert_eq!(redirect.expire(at(6_501)), vec![String::from("well")]);
        assert_eq!(redirect.pick(at(6_501), MBIT), Err(Refusal { retry_after: RETRY_AFTER_NO_EDGE }));
    }

    #[test]
    fn a_grant_is_counted_once_whether_it_comes_or_not() {
        let mut redirect = redirect(&[("e", beat(4, 0))]);
        assert_eq!(picks(&mut redirect, 0, 2, 3), [Ok("e".into()), Ok("e".into()), Err(retry(20))]);
        // One of two has come: it moves from pending to committed, the room stays full.
        let one_came = Beat { admitted_bps_total: 2 * MBIT, ..beat(4, 2) };
        assert_eq!(redirect.on_beat(at(1_000), "e", one_came), Ok(false));
        assert_eq!(redirect.edges()[0].pending_bps(), 2 * MBIT);
        assert_eq!(redirect.pick(at(1_000), MBIT), NO_ROOM);
        // The same beat again strikes nothing out.
        assert_eq!(redirect.on_beat(at(4_000), "e", one_came), Ok(false));
        assert_eq!(redirect.pick(at(4_999), MBIT), NO_ROOM);
        // The other never comes: after five seconds its room is free again, but for a silent edge that says nothing.
        assert_eq!(redirect.on_beat(at(5_000), "e", one_came), Ok(false));
        assert_eq!(picks(&mut redirect, 5_000, 1, 3), [Ok("e".into()), Ok("e".into()), Err(retry(20))]);
    }

    #[test]
    fn a_restarted_edge_counts_from_zero() {
        let long_up = Beat { admitted_bps_total: 900 * MBIT, ..beat(10, 8) };
        let mut redirect = redirect(&[("e", long_up)]);
        assert_eq!(redirect.pick(at(100), 2 * MBIT), Ok("e"));
        let fresh = Beat { admitted_bps_total: 2 * MBIT, ..beat(10, 2) };
        assert_eq!(redirect.on_beat(at(900), "e", fresh), Ok(false));
        assert_eq!(redirect.edges()[0].pending_bps(), 0);
    }

    #[test]
    fn the_refused_return_when_enough_will_have_left() {
        let full = |departures| Beat { sessions: 10, departures_per_minute: departures, ..beat(20, 20) };
        let refusal = |beats: &[(&str, Beat)], rate| redirect(beats).pick(at(0), rate * MBIT).map(String::from);
        // A session has 2 Mbit/s; 3 Mbit/s need two leavers; at 6 a minute that is 20 s.
        assert_eq!(refusal(&[("e", full(6))], 3), Err(retry(20)));
        // The edge that frees up first counts, and one too small for the rate never does.
        assert_eq!(refusal(&[("a", full(6)), ("b", full(12)), ("tiny", beat(1, 0))], 3), Err(retry(10)));
        assert_eq!(refusal(&[("e", full(600))], 3), Err(retry(2)));
        assert_eq!(refusal(&[("e", full(1))], 3), Err(retry(20)));
        assert_eq!(refusal(&[("e", full(0))], 3), Err(retry(20)));
        assert_eq!(refusal(&[("tiny", Beat { departures_per_minute: 9, ..beat(1, 0) })], 3), Err(retry(20)));
    }

    #[test]
    fn the_number_of_edges_is_bounded_and_absurd_beats_do_no_harm() {
        let mut redirect = redirect(&[]);
        let absurd = Beat { committed_bps: u64::MAX, admitted_bps_total: u64::MAX, sessions: u32::MAX, ..beat(1, 0) };
        for i in 0..EDGES_MAX {
            assert_eq!(redirect.on_beat(at(i as u64 % 7), &alloc::format!("e{i}"), absurd), Ok(true));
        }
        assert_eq!(redirect.on_beat(at(1), "one more", beat(1, 0)), Err(TooManyEdges));
        assert_eq!(redirect.on_beat(at(1), "e7", Beat { capacity_bps: u64::MAX, ..Beat::default() }), Ok(false));
        for _ in 0..3 {
            let _ = redirect.pick(at(2), u64::MAX / 2);
        }
        assert_eq!(redirect.edges().iter().map(Edge::pending_bps).max(), Some(u64::MAX - 1));
    }
}
