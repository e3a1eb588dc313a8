//! When is a part of a live stream shown? At once; but where its publisher pauses again and again, because its fragments are
//! long, its line stalls or its sound comes late, as much later as it pauses: who plays closer to live than lumps lie apart
//! would stand still before each of them, and so would everybody else.
//!
//! A pause counts once the publisher has caught up: when it goes on where it was, everything is later by itself. And it counts
//! from the second on within a minute: one alone is over, and who stood still for it has made room by that. The delay rises at
//! once and falls slowly.

use alloc::collections::VecDeque;
use core::time::Duration;

use trellis_proto::RunId;

use crate::pace::Pace;
use crate::time::Instant;

/// The pauses of a run, and what is done about them.
#[derive(Debug, Clone)]
pub struct Smooth {
    pace: Pace,
    /// In a pause that the publisher has not caught up on: how late the latest part of it was. Else zero.
    latest: Duration,
    /// How late the least late part since the pause before was.
    least: Duration,
    /// When the publisher had caught up on a pause, and how late the latest part of each was: of the last minute, and no two
    /// within half a second.
    pauses: VecDeque<(Instant, Duration)>,
    delay: Duration,
    falls_at: Instant,
    shown: Instant,
}

impl Smooth {
    /// The first part comes now, and is shown now.
    pub fn new(run: RunId, now: Instant, start_us: u64) -> Self {
        let (latest, least, delay) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let (pace, pauses) = (Pace::new(run, now, start_us), VecDeque::new());
        Self { pace, latest, least, pauses, delay, falls_at: now, shown: now }
    }

    /// By how much later than they could be parts are shown.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Another part came, that starts there on the run's time line. When to show it: never before the one before it.
    pub fn on_part(&mut self, now: Instant, start_us: u64) -> Instant {
        let before = self.pace.earliest(start_us);
        self.pace.on_descriptor(now, start_us);
        let due = self.pace.earliest(start_us);
        self.all_is_later(due.since(before));
        self.on_late(now, now.since(due));
        let wanted = self.wanted(now);
        if wanted >= self.delay + STEP {
            (self.delay, self.falls_at) = (wanted, now + STEP_EVERY);
        } else if wanted < self.delay && now >= self.falls_at {
            (self.delay, self.falls_at) = (self.delay.saturating_sub(STEP).max(wanted), now + STEP_EVERY);
        }
        self.shown = self.shown.max(now).max(due + self.delay);
        self.shown
    }

    fn on_late(&mut self, now: Instant, late: Duration) {
        self.least = self.least.min(late);
        if !self.latest.is_zero() || late >= self.least + PAUSE_MIN {
            self.latest = self.latest.max(late);
        }
        if late < self.latest / 2 {
            self.pauses.push_back((now, self.latest.min(DELAY_MAX)));
            (self.latest, self.least) = (Duration::ZERO, late);
        }
    }

    /// What was late by so much before is not late any more: it is how things are now.
    fn all_is_later(&mut self, by: Duration) {
        for late in
            self.pauses.iter_mut().map(|(_, late)| late).chain([&mut self.latest, &mut self.least, &mut self.delay])
        {
            *late = late.saturating_sub(by);
        }
    }

    /// As long as all pauses of late but one, and a little more.
    fn wanted(&mut self, now: Instant) -> Duration {
        while self.pauses.front().is_some_and(|(at, _)| now.since(*at) > LATELY) {
            self.pauses.pop_front();
        }
        let longest =
            |(most, second): (Duration, Duration), late: Duration| (most.max(late), second.max(most.min(late)));
        let (most, second) = self.pauses.iter().map(|(_, late)| *late).fold(Default::default(), longest);
        if second.is_zero() { second } else { most.min(second + PAUSE_MIN) }
    }
}

/// What is less, players ride out.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Who pauses for longer is not waited for so long.
pub const DELAY_MAX: Duration = Duration::from_secs(8);
const LATELY: Duration = Duration::from_secs(60);
/// Two in a hundred faster than it comes: nobody notices.
const STEP: Duration = Duration::from_millis(100);
const STEP_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const PART_US: u64 = 333_333;

    /// For each part of four minutes how long after it came to be it came and was shown, and the delay, ms. `late_ms` holds up
    /// a part and those behind it.
    fn shown(late_ms: impl Fn(u64) -> u64) -> Vec<[u64; 3]> {
        let made = |part: u64| Instant(7_000_000 + part * PART_US);
        let mut came = made(0) + Duration::from_millis(late_ms(0));
        let mut smooth = Smooth::new(RunId(1), came, 0);
        let show = |part: u64| {
            came = came.max(made(part) + Duration::from_millis(late_ms(part)));
            let at = smooth.on_part(came, part * PART_US);
            assert!(at >= came);
            [came.since(made(part)), at.since(made(part)), smooth.delay()].map(|time| time.as_millis() as u64)
        };
        (1..720).map(show).collect()
    }

    fn at_once(late_ms: impl Fn(u64) -> u64) -> bool {
        shown(late_ms).into_iter().all(|[came, at, delay]| at == came && delay == 0)
    }

    #[test]
    fn lumps_are_shown_a_part_at_a_time_from_the_third_on_and_a_minute_later_ever_sooner_again() {
        let late = |part: u64| if part < 180 { (8 - part % 9) * 333 } else { 0 };
        let shown = shown(late);
        assert!(shown[..17].iter().all(|[came, at, delay]| at == came && *delay == 0), "{:?}", &shown[..17]);
        assert!(shown[26..340].iter().all(|[_, at, delay]| (*at, *delay) == (2_664, 2_664)), "{:?}", &shown[26..340]);
        assert!(shown.windows(2).skip(340).all(|pair| pair[1][1] <= pair[0][1] && pair[0][1] - pair[1][1] <= 100));
        assert_eq!(shown[718][1..], [264, 264]);
    }

    #[test]
    fn what_does_not_come_again_or_is_short_changes_nothing() {
        assert!(at_once(|part| part % 12 * 30));
        assert!(at_once(|part| if part == 90 { 3_000 } else { 0 }), "once");
        assert!(at_once(|part| if part % 200 == 100 { 3_000 } else { 0 }), "once a minute");
        assert!(
            at_once(|part| if (90..100).contains(&part) { (part - 90) * 400 } else { 0 }),
            "a slow stretch is one pause"
        );
    }

    #[test]
    fn who_goes_on_where_it_was_is_shown_as_it_comes() {
        assert!(at_once(|part| if part > 90 { 3_000 } else { 0 }));
        assert!(at_once(|part| part.saturating_sub(90).min(30) * 333), "half as fast as real time for ten seconds");
        assert!(
            at_once(|part| [90, 180, 240].iter().filter(|pause| part > **pause).count() as u64 * 4_000),
            "three times"
        );
        let lumps_later = shown(|part| (5 - part % 6) * 333 + if part > 180 { 4_000 } else { 0 });
        let gaps = lumps_later.windows(2).skip(300).map(|pair| (333 + pair[1][1]).saturating_sub(pair[0][1]));
        assert!(gaps.max() < Some(900), "no standstill when the pause is forgotten");
    }

    #[test]
    fn nobody_is_delayed_for_ever() {
        let endless = shown(|part| (39 - part % 40) * 333);
        assert_eq!(endless.iter().map(|[.., delay]| *delay).max(), Some(8_000));
    }
}
