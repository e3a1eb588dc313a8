//! Which edge takes this viewer? Of the living ones that are not draining, the nearest that has room to spare, or the
//! one that has, relative to its size, most of it; one that refused the viewer itself is not asked again (the paper's
//! step 6, the overall search); or none, and then when to ask again (step 7).
//!
//! An edge's room is `capacity − committed − pending`: what it said in its last beat, less what was granted since. At
//! the head of a cluster, capacity is what its viewers give as well, and a newcomer is expected to bring what the others
//! do.
//! Think of a doorkeeper who counts whom he sent in until the usher next calls out the free seats. A grant stops
//! being pending when a beat contains it, or after [`PENDING_LIFE`], for some viewers never come; so a pick never
//! promises a room twice, and a crowd that vanishes on the way blocks it for seconds only.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::time::Duration;

use crate::locality::{FAR, Locality};
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

/// A near edge is preferred as long as this much of it is free.
const TO_SPARE_PERCENT: u128 = 10;

const PENDING_SLOTS: usize = 5;

/// What an edge says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beat {
    /// Upload budget and what its viewers give, bit/s.
    pub capacity_bps: u64,
    /// Sum of the rates of the sessions it holds, bit/s.
    pub committed_bps: u64,
    /// What of the rest is not for plain viewers, bit/s.
    pub reserved_bps: u64,
    /// Sum of the rates of all sessions it took up since it started, bit/s. Falls only when it was restarted.
    pub admitted_bps_total: u64,
    /// Sessions it holds.
    pub sessions: u32,
    /// Sessions that ended within the last minute.
    pub departures_per_minute: u32,
    /// It takes no new viewers.
    pub draining: bool,
    /// What one more viewer is expected to give, bit/s; 0 without a mesh.
    pub brings_bps: u64,
    /// By how much what its viewers give has grown lately, bit/s per second.
    pub growth_bps2: u64,
    /// How fast leaving viewers are expected to give room back, bit/s per second; 0: not known.
    pub relief_bps2: u64,
    /// Where it is.
    pub at: Locality,
}

impl Beat {
    /// What this viewer is expected to give there, bit/s. The minimum is a stream's, what is known are all of an edge's
    /// viewers: who is kept from the others may pass for one who is not, never the other way round.
    pub fn brings(&self, ask: &Ask<'_>) -> u64 {
        let hidden = self.sessions.saturating_add(1) < ask.viewers_min;
        if ask.plain || ask.receives || hidden { 0 } else { self.brings_bps }
    }
}

/// A viewer who needs an edge.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// What it takes, bit/s.
    pub rate_bps: u64,
    /// Where it is.
    pub from: Locality,
    /// It is no peer: it brings nothing, whatever the others do, and what is reserved is not for it.
    pub plain: bool,
    /// It is a peer that does not give.
    pub receives: bool,
    /// An edge keeps it from the others, so that it brings nothing, while fewer watch there, itself among them.
    pub viewers_min: u32,
    /// Edges that refused it or were lost to it a moment ago.
    pub refused_by: &'a [&'a str],
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
    /// When there will be room, by the departures and the growth the edges report; 2 to 20 s.
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

    /// The edge that takes this viewer; its rate is set aside there until a beat contains it.
    /// Allocates nothing; looks at every edge once.
    pub fn pick(&mut self, now: Instant, ask: &Ask<'_>) -> Result<&str, Refusal> {
        let mut best: Option<(usize, u8, Room)> = None;
        for (at, edge) in self.edges.iter_mut().enumerate() {
            edge.pending.advance(now);
            let brings_bps = edge.beat.brings(ask);
            let room = edge.room(ask, brings_bps);
            let asked = ask.refused_by.contains(&edge.name.as_str());
            if asked || !edge.takes_viewers(now, self.dead_after) || !room.fits(brings_bps, ask.rate_bps) {
                continue;
            }
            let distance = if room.is_ample() { edge.beat.at.distance(&ask.from) } else { FAR };
            let better =
                |(_, nearest, most): (usize, u8, Room)| distance < nearest || distance == nearest && room.exceeds(most);
            if best.is_none_or(better) {
                best = Some((at, distance, room));
            }
        }
        let Some((at, ..)) = best else { return Err(self.refusal(now, ask)) };
        self.edges[at].pending.grant(ask.rate_bps);
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
    fn refusal(&self, now: Instant, ask: &Ask<'_>) -> Refusal {
        let mut living = self.edges.iter().filter(|edge| edge.takes_viewers(now, self.dead_after)).peekable();
        let retry_after = match living.peek() {
            None => RETRY_AFTER_NO_EDGE,
            Some(_) => living.filter_map(|edge| edge.relief(ask)).min().unwrap_or(RETRY_AFTER_SAID_MAX),
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

    /// Who is on the way brings something, too.
    fn room(&self, ask: &Ask<'_>, brings_bps: u64) -> Room {
        let net = ask.rate_bps.saturating_sub(brings_bps);
        let pending = u128::from(self.pending.sum) * u128::from(net) / u128::from(ask.rate_bps.max(1));
        let reserved_bps = if ask.plain { self.beat.reserved_bps } else { 0 };
        let taken = self.beat.committed_bps.saturating_add(pending as u64).saturating_add(reserved_bps);
        Room { free_bps: self.beat.capacity_bps.saturating_sub(taken), capacity_bps: self.beat.capacity_bps }
    }

    /// How long until enough has been given back or has grown for one more of this rate. None: never, or nothing moves.
    fn relief(&self, ask: &Ask<'_>) -> Option<Duration> {
        let brings_bps = self.beat.brings(ask);
        let needs = ask.rate_bps.saturating_sub(brings_bps);
        let mean = (self.beat.committed_bps / u64::from(self.beat.sessions.max(1))).max(1);
        let left = u128::from(mean) * u128::from(self.beat.departures_per_minute);
        let (grows, expected) = (60 * u128::from(self.beat.growth_bps2), 60 * u128::from(self.beat.relief_bps2));
        if self.beat.growth_bps2 == 0 && self.beat.capacity_bps < needs {
            return None;
        }
        let missing = u128::from(needs.saturating_sub(self.room(ask, brings_bps).free_bps));
        // Whole sessions leave.
        let whole = if left > 0 { missing.div_ceil(u128::from(mean)) * u128::from(mean) } else { missing };
        let counted = (left + grows > 0).then(|| (whole * 60).div_ceil(left + grows));
        // Expected is what leavers give back when what they gave is gone, too.
        let forecast = (expected > 0).then(|| (missing * 60).div_ceil(expected + grows));
        let seconds = [counted, forecast].into_iter().flatten().min()?;
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }
}

/// An edge's room for viewers.
#[derive(Debug, Clone, Copy)]
struct Room {
    free_bps: u64,
    capacity_bps: u64,
}

impl Room {
    /// One more viewer can be carried, by what it brings itself and by what is free.
    fn fits(self, brings_bps: u64, rate_bps: u64) -> bool {
        self.free_bps.saturating_add(brings_bps) >= rate_bps
    }

    fn is_ample(self) -> bool {
        u128::from(self.free_bps) * 100 >= u128::from(self.capacity_bps) * TO_SPARE_PERCENT
    }

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

    fn ask(mbit: u64) -> Ask<'static> {
        Ask { rate_bps: mbit * MBIT, ..Ask::default() }
    }

    fn redirect(edges: &[(&str, Beat)]) -> Redirect {
        let mut redirect = Redirect::new(Duration::from_millis(3_500));
        for (name, beat) in edges {
            assert_eq!(redirect.on_beat(at(0), name, *beat), Ok(true));
        }
        redirect
    }

    fn picks(redirect: &mut Redirect, ms: u64, rate: u64, times: usize) -> Vec<Result<String, Refusal>> {
        (0..times).map(|_| redirect.pick(at(ms), &ask(rate)).map(String::from)).collect()
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
        assert_eq!(self::redirect(&equal).pick(at(1), &ask(1)), Ok("x"));
    }

    #[test]
    fn dead_and_draining_edges_get_nobody() {
        let draining = Beat { draining: true, ..beat(100, 0) };
        let mut redirect = redirect(&[("draining", draining), ("silent", beat(100, 0)), ("well", beat(10, 9))]);
        assert_eq!(redirect.on_beat(at(3_000), "well", beat(10, 9)), Ok(false));
        assert_eq!(redirect.pick(at(3_501), &ask(1)), Ok("well"));
        assert_eq!(redirect.expire(at(3_501)), vec![String::from("draining"), String::from("silent")]);
        assert_eq!(redirect.edges().iter().map(Edge::name).collect::<Vec<_>>(), ["well"]);
        assert_eq!(redirect.expire(at(6_501)), vec![String::from("well")]);
        assert_eq!(redirect.pick(at(6_501), &ask(1)), Err(Refusal { retry_after: RETRY_AFTER_NO_EDGE }));
    }

    #[test]
    fn a_grant_is_counted_once_whether_it_comes_or_not() {
        let mut redirect = redirect(&[("e", beat(4, 0))]);
        assert_eq!(picks(&mut redirect, 0, 2, 3), [Ok("e".into()), Ok("e".into()), Err(retry(20))]);
        // One of two has come: it moves from pending to committed, the room stays full.
        let one_came = Beat { admitted_bps_total: 2 * MBIT, ..beat(4, 2) };
        assert_eq!(redirect.on_beat(at(1_000), "e", one_came), Ok(false));
        assert_eq!(redirect.edges()[0].pending_bps(), 2 * MBIT);
        assert_eq!(redirect.pick(at(1_000), &ask(1)), NO_ROOM);
        // The same beat again strikes nothing out.
        assert_eq!(redirect.on_beat(at(4_000), "e", one_came), Ok(false));
        assert_eq!(redirect.pick(at(4_999), &ask(1)), NO_ROOM);
        // The other never comes: after five seconds its room is free again, but for a silent edge that says nothing.
        assert_eq!(redirect.on_beat(at(5_000), "e", one_came), Ok(false));
        assert_eq!(picks(&mut redirect, 5_000, 1, 3), [Ok("e".into()), Ok("e".into()), Err(retry(20))]);
    }

    #[test]
    fn a_restarted_edge_counts_from_zero() {
        let long_up = Beat { admitted_bps_total: 900 * MBIT, ..beat(10, 8) };
        let mut redirect = redirect(&[("e", long_up)]);
        assert_eq!(redirect.pick(at(100), &ask(2)), Ok("e"));
        let fresh = Beat { admitted_bps_total: 2 * MBIT, ..beat(10, 2) };
        assert_eq!(redirect.on_beat(at(900), "e", fresh), Ok(false));
        assert_eq!(redirect.edges()[0].pending_bps(), 0);
    }

    #[test]
    fn the_refused_return_when_enough_will_have_left() {
        let full = |departures| Beat { sessions: 10, departures_per_minute: departures, ..beat(20, 20) };
        let refusal = |beats: &[(&str, Beat)], rate| redirect(beats).pick(at(0), &ask(rate)).map(String::from);
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
    fn the_nearest_with_room_to_spare_takes_a_viewer_and_a_full_one_is_no_nearer_than_others() {
        let place = |isp, region| Locality { isp, region, ..Locality::default() };
        let edge = |committed, at| Beat { at, ..beat(100, committed) };
        // One viewer more and the near one has less than a tenth free.
        let edges = [
            ("other", edge(0, place(9, 9))),
            ("region", edge(50, place(2, 1))),
            ("same", edge(89, place(1, 1))),
            ("unknown", edge(10, place(0, 0))),
        ];
        let mut redirect = redirect(&edges);
        let from = |at| Ask { from: at, ..ask(2) };
        let mut to = |at| redirect.pick(Instant(1000), &from(at)).map(String::from);
        assert_eq!(to(place(1, 1)), Ok("same".into()), "its provider's, up to a tenth of it");
        assert_eq!(to(place(1, 1)), Ok("region".into()), "then its region's");
        assert_eq!(to(place(0, 9)), Ok("other".into()));
        assert_eq!(to(place(0, 0)), Ok("other".into()), "who is nowhere goes where most room is");
    }

    #[test]
    fn step_6_the_overall_search_asks_no_edge_twice_and_step_7_says_when_to_return() {
        let departing = Beat { sessions: 10, departures_per_minute: 12, ..beat(20, 20) };
        let mut redirect = redirect(&[("a", beat(10, 0)), ("b", beat(10, 5)), ("c", departing)]);
        let refused = |by: &'static [&'static str]| Ask { refused_by: by, ..ask(3) };
        assert_eq!(redirect.pick(at(1), &refused(&["a"])), Ok("b"));
        assert_eq!(redirect.pick(at(1), &refused(&["a", "b"])), Err(retry(10)), "two must leave c, of 12 a minute");
        assert_eq!(redirect.pick(at(1), &refused(&["b"])), Ok("a"));
    }

    #[test]
    fn a_cluster_takes_those_who_bring_what_they_need_and_grows() {
        let swarm = |brings, growth| Beat {
            brings_bps: brings * MBIT,
            growth_bps2: growth * MBIT,
            sessions: 10,
            ..beat(20, 20)
        };
        assert_eq!(redirect(&[("full", swarm(2, 0))]).pick(at(0), &ask(3)), Err(retry(20)), "nothing moves");
        assert_eq!(redirect(&[("full", swarm(2, 0))]).pick(at(0), &ask(2)), Ok("full"));
        let plain = Ask { plain: true, ..ask(2) };
        assert!(redirect(&[("full", swarm(2, 0))]).pick(at(0), &plain).is_err(), "who is no peer brings nothing");
        let reserving = [("e", Beat { reserved_bps: 4 * MBIT, ..beat(20, 15) })];
        assert!(redirect(&reserving).pick(at(0), &plain).is_err(), "what is reserved is not for plain viewers");
        let receives = Ask { receives: true, ..ask(2) };
        assert!(redirect(&[("full", swarm(2, 0))]).pick(at(0), &receives).is_err(), "who only receives brings nothing");
        assert!(redirect(&reserving).pick(at(0), &receives).is_ok(), "what is reserved is for whom the mesh fails");
        for (viewers_min, fits) in [(0, true), (3, true), (4, false)] {
            let beat = Beat { sessions: 2, ..swarm(2, 0) };
            let hidden = Ask { viewers_min, ..ask(2) };
            assert_eq!(redirect(&[("full", beat)]).pick(at(0), &hidden).is_ok(), fits, "at least {viewers_min}");
        }
        assert_eq!(redirect(&reserving).pick(at(0), &ask(2)), Ok("e"), "and turns no engine away");
        assert_eq!(redirect(&[("e", swarm(1, 1))]).pick(at(0), &ask(11)), Err(retry(10)), "10 Mbit/s at 1 a second");
        let foreseen = |bps2| Beat { relief_bps2: bps2, ..swarm(1, 0) };
        let retry_after = |beat| redirect(&[("e", beat)]).pick(at(0), &ask(2)).map(String::from);
        assert_eq!(
            retry_after(foreseen(100_000)),
            Err(retry(10)),
            "nobody left lately; 1 Mbit/s at 100 kbit/s a second"
        );
        let leaving = Beat { departures_per_minute: 10, ..foreseen(100_000) };
        assert_eq!(retry_after(leaving), Err(retry(6)), "whichever is sooner: 10 of 2 Mbit/s a minute");
        // What those on the way need beyond what they bring is set aside: 1 of 2 Mbit/s each.
        let mut half = redirect(&[("e", Beat { committed_bps: 17 * MBIT, ..swarm(1, 0) })]);
        assert_eq!(picks(&mut half, 0, 2, 4), [Ok("e".into()), Ok("e".into()), Ok("e".into()), Err(retry(20))]);
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
            let _ = redirect.pick(at(2), &Ask { rate_bps: u64::MAX / 2, ..Ask::default() });
        }
        assert_eq!(redirect.edges().iter().map(Edge::pending_bps).max(), Some(u64::MAX - 1));
    }
}
