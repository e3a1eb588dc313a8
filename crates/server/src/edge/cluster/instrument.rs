//! What does a cluster's own book say of λ, β, α, B and L, what will come of that, and did it? The host tells who came and
//! went and how the cluster stands; out comes what the model (`trellis_model`) makes of it. No clock: times are the host's, ms.
//!
//! Counted are viewers with an engine. Plain sessions are in B alone: what they take, clusters may not give away. Who comes
//! back within [`RETURN_MS`] was never gone, who asks again within [`ASKS_AGAIN_MS`] asked once. Invariant: memory is
//! bounded whoever floods; beyond it, one who comes back counts as another.

use std::collections::{BTreeMap, VecDeque};

use trellis_core::cluster::Stats;
use trellis_model::estimate::{Counters, Estimate, Estimates, Ledger};
use trellis_model::forecast::{Forecast, Range};
use trellis_model::{Seconds, Share, erlang};
use trellis_proto::SessionId;

use crate::cluster_api::{Guess, Review, StreamModel};

/// The book of one cluster.
#[derive(Default)]
pub struct Instrument {
    looked_ms: u64,
    noted_ms: u64,
    counters: Counters,
    ledger: Ledger,
    /// Who was refused, and when it last asked.
    asked: BTreeMap<SessionId, u64>,
    /// Who left, and when: it may come back.
    gone: BTreeMap<SessionId, u64>,
    said: VecDeque<Said>,
    period: Period,
}

/// What is told of one growth: from a first request until nobody has been refused for an hour. Then another begins, with the
/// next request: a stream that ran full one evening does not say so ever after.
#[derive(Default)]
struct Period {
    first_request_ms: Option<u64>,
    refusals_ms: Option<(u64, u64)>,
    full: Option<Review>,
}

/// What it says.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// For operators; the stream's name is the host's to fill in.
    pub model: StreamModel,
    /// How fast leaving viewers give room back, bit/s per second; 0: not known.
    pub relief_bps2: u64,
    /// What the fluctuations of so many viewers may need beyond what these need, bit/s.
    pub headroom_bps: u64,
}

/// What was said when so much had been counted.
struct Said {
    counters: Counters,
    foreseen: Option<Foreseen>,
}

#[derive(Clone, Copy)]
struct Foreseen {
    capacity_bps: Range,
    rejection: Range,
    /// By the host's clock.
    full_at_s: Range,
}

impl Instrument {
    /// A viewer was let in.
    pub fn admitted(&mut self, now_ms: u64, session: SessionId) {
        let returns = self.gone.remove(&session).is_some();
        if self.asked.remove(&session).is_none() && !returns {
            self.request(now_ms);
        }
    }

    /// A viewer was refused, for lack of room.
    pub fn refused(&mut self, now_ms: u64, session: SessionId) {
        let again = self.asked.contains_key(&session) || self.gone.contains_key(&session);
        if !again {
            self.request(now_ms);
            self.counters.refused += 1;
        }
        let first = self.period.refusals_ms.map_or(now_ms, |(first, _)| first);
        self.period.refusals_ms = Some((first, now_ms));
        if self.asked.len() < REMEMBERED_MAX || self.asked.contains_key(&session) {
            self.asked.insert(session, now_ms);
        }
    }

    /// A viewer is gone.
    pub fn left(&mut self, now_ms: u64, session: SessionId) {
        if self.gone.len() < REMEMBERED_MAX {
            self.gone.insert(session, now_ms);
        } else {
            self.counters.sessions_ended += 1;
        }
    }

    fn request(&mut self, now_ms: u64) {
        self.period.first_request_ms.get_or_insert(now_ms);
        self.counters.requests += 1;
    }

    /// Time passed. Now and then there is something to read: call at least every [`LOOK_MS_MAX`] while anybody is there.
    pub fn look(&mut self, now_ms: u64, stats: &Stats) -> Option<Reading> {
        // Longer than that it was not looked at because nobody was there.
        let ms = now_ms.saturating_sub(self.looked_ms).min(LOOK_MS_MAX);
        self.looked_ms = now_ms;
        let bytes = |bps: u64| bps.saturating_mul(ms) / 8_000;
        let counters = &mut self.counters;
        counters.ms = now_ms;
        counters.session_ms += u64::from(stats.viewers) * ms;
        counters.session_bytes += bytes(stats.peers_held_bps.saturating_add(stats.edge_held_bps));
        counters.support_ms += u64::from(stats.supporters) * ms;
        counters.support_bytes += bytes(stats.peers_bps);
        if now_ms < self.noted_ms + NOTE_EVERY_MS {
            return None;
        }
        self.noted_ms = now_ms;
        self.forget(now_ms);
        if self.period.refusals_ms.is_some_and(|(_, last)| now_ms >= last + QUIET_MS) {
            self.period = Period::default();
        }
        self.ledger.note(self.counters);
        Some(self.read(stats))
    }

    fn forget(&mut self, now_ms: u64) {
        self.asked.retain(|_, asked| now_ms < *asked + ASKS_AGAIN_MS);
        let before = self.gone.len();
        self.gone.retain(|_, left| now_ms < *left + RETURN_MS);
        self.counters.sessions_ended += (before - self.gone.len()) as u64;
    }

    fn read(&mut self, stats: &Stats) -> Reading {
        let mut estimates = self.ledger.estimates();
        // Of a recording nobody holds anything: what its viewers take is not in this book.
        estimates.session_bps = estimates.session_bps.filter(|session| session.value > 0.0);
        let nobody_gives = Estimate::known(0.0);
        let all = Estimates { support_bps: estimates.support_bps.or(Some(nobody_gives)), ..estimates };
        let forecast = Forecast::new(Estimate::known(stats.edge_bps as f64), &all);
        let viewers = f64::from(stats.viewers);
        let foreseen = forecast.as_ref().map(|forecast| self.foresee(forecast, viewers));
        let model = self.review(stats, tell(stats, &estimates, forecast.as_ref(), foreseen));
        self.said.push_back(Said { counters: self.counters, foreseen });
        let short = estimates.session_bps.map_or(0.0, |session| session.value)
            - estimates.brought_bps.map_or(0.0, |brought| brought.value);
        let leaving = forecast.map_or(0.0, |forecast| viewers / forecast.next_place_s(1).value);
        Reading {
            model,
            relief_bps2: (short.max(0.0) * leaving) as u64,
            headroom_bps: headroom_bps(stats.viewers, short.max(0.0)),
        }
    }

    fn foresee(&self, forecast: &Forecast, viewers: f64) -> Foreseen {
        let horizon = Seconds::new(HORIZON_MS as f64 / 1e3).unwrap_or_default();
        let full_in_s = forecast.live_full_in_s(viewers);
        Foreseen {
            capacity_bps: forecast.live_capacity_bps(viewers, horizon),
            rejection: forecast.live_rejection_within(viewers, horizon),
            full_at_s: later(full_in_s, s(self.counters.ms)),
        }
    }

    /// What was said half a minute ago, beside what came of it.
    fn review(&mut self, stats: &Stats, model: StreamModel) -> StreamModel {
        let begun = self.period.first_request_ms;
        let since_first = |at: u64| s(at.saturating_sub(begun.unwrap_or(at)));
        let old = (self.said.len() >= SAID_MAX).then(|| self.said.pop_front()).flatten();
        let before = old.as_ref().or(self.said.front());
        let rejection = self.counters.since(&before.map(|said| said.counters).unwrap_or_default()).rejection();
        let foreseen = old.as_ref().and_then(|said| said.foreseen);
        let (first, last) = self.period.refusals_ms.unzip();
        if let (None, Some(first)) = (self.period.full, first) {
            let mut earlier = old.iter().chain(&self.said).filter(|said| said.counters.ms < first);
            let said = earlier.find_map(|said| said.foreseen);
            let since_begun = |said: Foreseen| later(said.full_at_s, -s(begun.unwrap_or(first)));
            self.period.full = said.map(|said| review(since_begun(said), since_first(first)));
        }
        StreamModel {
            rejected_share: rejection,
            capacity: foreseen.map(|said| review(said.capacity_bps, capacity_bps(stats))),
            rejection: foreseen.and_then(|said| Some(review(said.rejection, rejection?))),
            full: self.period.full,
            first_refusal_s: first.map(since_first),
            last_refusal_s: last.map(since_first),
            ..model
        }
    }
}

/// What is known and foreseen.
fn tell(stats: &Stats, estimates: &Estimates, forecast: Option<&Forecast>, foreseen: Option<Foreseen>) -> StreamModel {
    let guess = |estimate: Option<Estimate>| estimate.map(known);
    let churn = |length: Guess| Guess::new(1.0 / length.value(), 1.0 / length.high(), 1.0 / length.low());
    let viewers = f64::from(stats.viewers);
    StreamModel {
        viewers: stats.viewers,
        server_bps: stats.edge_bps,
        capacity_bps: capacity_bps(stats) as u64,
        arrivals_per_second: guess(estimates.arrivals),
        session_bps: guess(estimates.session_bps),
        support_bps: guess(estimates.support_bps),
        brought_bps: guess(estimates.brought_bps),
        session_s: guess(estimates.length_s),
        churn_per_second: guess(estimates.length_s).map(churn),
        viewers_max: forecast.map(|forecast| told(forecast.viewers_max())),
        full_in_s: forecast.map(|forecast| told(forecast.live_full_in_s(viewers))),
        guaranteed_in_s: forecast.map(|forecast| told(forecast.live_guarantee_in_s())),
        next_capacity_bps: foreseen.map(|foreseen| told(foreseen.capacity_bps)),
        next_rejected_share: foreseen.map(|foreseen| told(foreseen.rejection)),
        ..StreamModel::default()
    }
}

fn capacity_bps(stats: &Stats) -> f64 {
    stats.edge_bps.saturating_add(stats.peers_bps) as f64
}

/// Nothing here is below 0.
fn known(estimate: Estimate) -> Guess {
    let (low, high) = estimate.range_95();
    Guess::new(estimate.value, low.max(0.0), high)
}

fn later(Range { value, low, high }: Range, by_s: f64) -> Range {
    Range { value: value + by_s, low: low + by_s, high: high + by_s }
}

fn told(range: Range) -> Guess {
    Guess::new(range.value, range.low, range.high)
}

fn review(said: Range, measured: f64) -> Review {
    let residual = said.residual(measured);
    let difference = Some(residual.difference).filter(|difference| difference.is_finite());
    Review { said: told(said), measured, residual: difference, within: residual.within }
}

/// Erlang's headroom: how many places more than viewers there must be so that one in a hundred finds none, and what these
/// take beyond what they bring.
fn headroom_bps(viewers: u32, short_bps: f64) -> u64 {
    let may_fail = Share::new(MAY_FAIL).unwrap_or_default();
    let places = erlang::slots_for(f64::from(viewers), may_fail).unwrap_or_default();
    (places.saturating_sub(viewers.into()) as f64 * short_bps) as u64
}

fn s(ms: u64) -> f64 {
    ms as f64 / 1e3
}

/// Longest time between two looks that is believed.
pub const LOOK_MS_MAX: u64 = 1_000;
/// A stretch of the ledger, which keeps five minutes of them.
const NOTE_EVERY_MS: u64 = 5_000;
/// Predictions are made for so long ahead, and looked at again after it.
const HORIZON_MS: u64 = 30_000;
const SAID_MAX: usize = (HORIZON_MS / NOTE_EVERY_MS) as usize;
/// A link that breaks is back within this.
const RETURN_MS: u64 = 5_000;
/// Longer than anybody is told to wait.
const ASKS_AGAIN_MS: u64 = 40_000;
/// Nobody was refused for so long: what comes is another growth.
const QUIET_MS: u64 = 3_600_000;
/// Remembered at a time, of those who left and of those who were refused.
const REMEMBERED_MAX: usize = 4_096;
const MAY_FAIL: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;

    fn session(n: u64) -> SessionId {
        SessionId([n.to_be_bytes(), [0; 8]].concat().try_into().unwrap())
    }

    /// So many viewers who take 1 Mbit/s and give half of it, at an edge that gives them 20 Mbit/s.
    fn stats(viewers: u32) -> Stats {
        let n = u64::from(viewers);
        Stats {
            viewers,
            supporters: viewers,
            peers_bps: n * 500_000,
            peers_held_bps: n * 400_000,
            edge_bps: 20_000_000,
            edge_held_bps: n * 600_000,
            ..Stats::default()
        }
    }

    /// One comes every two seconds, finds place or not, and stays for twenty. The last reading of two minutes.
    fn two_minutes(places: u32) -> Reading {
        let (mut instrument, mut last, mut here) = (Instrument::default(), None, VecDeque::new());
        for now in (0..=120_000).step_by(250) {
            if here.front().is_some_and(|came| came + 20_000 <= now) {
                instrument.left(now, session(here.pop_front().unwrap()));
            }
            match now % 2_000 {
                1_000 if (here.len() as u32) < places => {
                    instrument.admitted(now, session(now));
                    here.push_back(now);
                }
                1_000 => instrument.refused(now, session(now)),
                _ => {}
            }
            let edge_bps = u64::from(places) * 500_000;
            last = instrument.look(now, &Stats { edge_bps, ..stats(here.len() as u32) }).or(last);
        }
        last.unwrap()
    }

    #[test]
    fn what_is_counted_becomes_what_is_known_and_foreseen() {
        let Reading { model, relief_bps2, headroom_bps } = two_minutes(40);
        let about = |guess: Option<Guess>, truth: f64| {
            let guess = guess.unwrap();
            assert!((guess.value() / truth - 1.0).abs() < 0.1, "{guess:?} for {truth}");
            assert!(guess.low() <= truth && truth <= guess.high(), "{guess:?} for {truth}");
        };
        about(model.arrivals_per_second, 0.5);
        about(model.session_s, 21.0);
        about(model.churn_per_second, 1.0 / 21.0);
        for (guess, truth) in [(model.session_bps, 1e6), (model.support_bps, 0.5e6), (model.viewers_max, 40.0)] {
            assert!((guess.unwrap().value() / truth - 1.0).abs() < 1e-9, "{guess:?} for {truth}");
        }
        assert_eq!((model.full_in_s.unwrap().value(), model.guaranteed_in_s.unwrap().value()), (f64::INFINITY, 0.0));
        assert_eq!((model.server_bps, model.capacity_bps, model.rejected_share), (20_000_000, 25_000_000, Some(0.0)));
        let capacity = model.capacity.unwrap();
        assert!(capacity.within && capacity.residual.unwrap().abs() < 1e6, "{capacity:?}");
        assert_eq!(model.rejection.unwrap().residual, Some(0.0));
        assert_eq!((model.full, model.first_refusal_s), (None, None));
        assert!((relief_bps2 as f64 / (10.0 * 0.5e6 / 21.0) - 1.0).abs() < 0.1, "{relief_bps2}");
        // E(10, 18) is the first below 1 %.
        assert_eq!(headroom_bps, 8 * 500_000);
    }

    #[test]
    fn a_server_that_fills_up_refuses_about_the_share_that_was_said() {
        let model = two_minutes(5).model;
        // n_max = 5, a = 10: half are refused, five in a row.
        let rejection = model.rejection.unwrap();
        assert!((rejection.said.value() - 0.5).abs() < 0.1 && rejection.within, "{rejection:?}");
        assert_eq!(rejection.residual, Some(rejection.measured - rejection.said.value()));
        assert_eq!(model.first_refusal_s, Some(10.0));
        assert!(model.last_refusal_s.unwrap() > 100.0 && model.guaranteed_in_s.unwrap().value() == f64::INFINITY);
        assert!(model.next_rejected_share.unwrap().value() > 0.3);
        assert_eq!(model.full, None, "nobody had left when it was full: nothing was foreseen");
    }

    #[test]
    fn after_an_hour_without_a_refusal_another_growth_begins() {
        let mut instrument = Instrument::default();
        let read_at = |instrument: &mut Instrument, now| instrument.look(now, &stats(10)).unwrap().model;
        instrument.admitted(1_000, session(1));
        instrument.refused(11_000, session(2));
        let model = read_at(&mut instrument, 20_000);
        assert_eq!((model.first_refusal_s, model.last_refusal_s), (Some(10.0), Some(10.0)));
        // Who asks again is refused again, though it is counted once.
        instrument.refused(31_000, session(2));
        assert_eq!(read_at(&mut instrument, 3_630_000).last_refusal_s, Some(30.0));
        let model = read_at(&mut instrument, 3_635_000);
        assert_eq!((model.first_refusal_s, model.last_refusal_s, model.full), (None, None, None));
        instrument.admitted(4_000_000, session(3));
        instrument.refused(4_002_000, session(4));
        let model = read_at(&mut instrument, 4_005_000);
        assert_eq!((model.first_refusal_s, model.last_refusal_s), (Some(2.0), Some(2.0)));
    }

    #[test]
    fn floods_grow_nothing_and_who_comes_again_is_counted_once() {
        let mut instrument = Instrument::default();
        for n in 0..1_000 {
            instrument.refused(n, session(1));
            instrument.admitted(n, session(2));
            instrument.left(n, session(2));
        }
        assert_eq!((instrument.counters.requests, instrument.counters.refused), (2, 1));
        instrument.admitted(1_000, session(1));
        assert_eq!(instrument.counters.requests, 2, "its turn has come");
        for n in 10..100_000 {
            instrument.refused(2_000, session(n));
            instrument.admitted(2_000, session(n << 32));
            instrument.left(2_000, session(n << 32));
        }
        assert!(instrument.asked.len() <= REMEMBERED_MAX && instrument.gone.len() <= REMEMBERED_MAX);
        let absurd = Stats { viewers: u32::MAX, peers_bps: u64::MAX, edge_held_bps: u64::MAX, ..stats(0) };
        let readings = (1..=40u64).filter_map(|n| instrument.look(n * 5_000, &absurd));
        let model = readings.last().unwrap().model;
        assert_eq!((instrument.asked.len(), instrument.gone.len(), instrument.said.len()), (0, 0, SAID_MAX));
        let arrivals = model.arrivals_per_second.unwrap();
        assert_eq!(arrivals.value(), (2.0 + 2.0 * 99_990.0) / 200.0, "all of them came");
        let text = serde_json::to_string(&model).unwrap();
        assert!(serde_json::from_str::<StreamModel>(&text).is_ok(), "{text}");
    }
}
