//! What did the viewer see? When it started, and for how long it stood still.
//!
//! A part is to be played H after its descriptor reached the edge, or later when the viewer started or stalled: then it
//! is caught up by playing a tenth faster. Nothing here runs on a clock: a part that becomes playable tells how long it
//! was waited for.

use std::collections::BTreeMap;

/// Who waits so long for a part jumps to the next key frame that is there, µs.
const JUMP_AFTER_US: u64 = 2_000_000;

/// A part that can be played.
#[derive(Debug, Clone, Copy)]
struct Ready {
    at: u64,
    independent: bool,
}

/// One viewer's player. All times in µs.
#[derive(Debug, Clone, Default)]
pub struct Player {
    hold_back: u64,
    duration: u64,
    /// The next part to play, and when at the earliest.
    cursor: Option<(u64, u64)>,
    /// Where the viewer went; None: any key frame will do.
    target: Option<u64>,
    ready: BTreeMap<u64, Ready>,
    started: Option<u64>,
    stalled: u64,
    stalls: u32,
    skipped: u32,
}

/// What playing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Played {
    /// When it started.
    pub started: Option<u64>,
    /// How long it stood still after that, µs.
    pub stalled: u64,
    /// How often.
    pub stalls: u32,
    /// Parts that were jumped over.
    pub skipped: u32,
}

impl Player {
    /// For parts of this duration.
    pub fn new(duration: u64) -> Self {
        Self { duration, hold_back: 1_000_000, ..Self::default() }
    }

    /// The cluster announced H.
    pub fn set_hold_back(&mut self, hold_back: u64) {
        self.hold_back = hold_back;
    }

    /// The viewer goes to this part: what was there is left, waiting starts anew.
    pub fn seek(&mut self, to: u64) {
        (self.cursor, self.target, self.ready) = (None, Some(to), BTreeMap::new());
    }

    /// A part can be played from now on. `arrivals`: when each part's descriptor reached the edge; None: on demand, due
    /// when the one before was played. For how long it was waited for.
    pub fn on_playable(&mut self, now: u64, part: u64, independent: bool, arrivals: Option<&[u64]>) -> u64 {
        if self.cursor.is_some_and(|(next, _)| part < next) {
            return 0;
        }
        let before = self.stalled;
        self.ready.entry(part).or_insert(Ready { at: now, independent });
        if self.cursor.is_none() {
            // What is there of later parts comes first, when it was fetched before the viewer went back.
            if self.target.map_or(!independent, |target| part != target) {
                return 0;
            }
            let at = self.due(part, arrivals).max(now);
            self.cursor = Some((part, at));
            self.started.get_or_insert(at);
        }
        self.play(now, arrivals);
        self.stalled - before
    }

    fn due(&self, part: u64, arrivals: Option<&[u64]>) -> u64 {
        arrivals.map_or(0, |arrivals| arrivals.get(part as usize).map_or(u64::MAX, |at| at + self.hold_back))
    }

    /// The part it waits for, and when that is to be played; None: not known yet.
    pub fn waits_for(&self, arrivals: Option<&[u64]>) -> Option<(u64, u64)> {
        let (part, earliest) = self.cursor?;
        let due = self.due(part, arrivals);
        (due != u64::MAX).then(|| (part, due.max(earliest)))
    }

    /// Plays what is there.
    fn play(&mut self, now: u64, arrivals: Option<&[u64]>) {
        while let Some((part, at)) = self.waits_for(arrivals) {
            if let Some(ready) = self.ready.remove(&part) {
                let played = at.max(ready.at);
                if played > at {
                    self.stand_still(played - at);
                }
                let pace = if arrivals.is_some() { self.duration * 10 / 11 } else { self.duration };
                self.cursor = Some((part + 1, played + pace));
                continue;
            }
            let waited = now.saturating_sub(at);
            let next = self.ready.iter().find(|(_, ready)| ready.independent).map(|(part, _)| *part);
            // There is no live edge to catch up with on demand.
            let jumps = arrivals.is_some() && waited >= JUMP_AFTER_US;
            let Some(next) = next.filter(|_| jumps) else { return };
            self.stand_still(waited);
            self.skipped += (next - part) as u32;
            self.ready = self.ready.split_off(&next);
            self.ready.entry(next).and_modify(|ready| ready.at = now);
            self.cursor = Some((next, now));
        }
    }

    fn stand_still(&mut self, time: u64) {
        self.stalled += time;
        self.stalls += 1;
    }

    /// Has it started?
    pub fn has_started(&self) -> bool {
        self.started.is_some()
    }

    /// What it came to until now; a wait that goes on is counted so far. `end`: parts from there on will never come.
    pub fn played(&self, now: u64, end: u64, arrivals: Option<&[u64]>) -> Played {
        let waits = self.waits_for(arrivals).filter(|(part, at)| *part < end && *at < now);
        let waiting = waits.map_or(0, |(_, at)| now - at);
        Played {
            started: self.started,
            stalled: self.stalled + waiting,
            stalls: self.stalls + u32::from(waiting > 0),
            skipped: self.skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: u64 = 330_000;

    fn arrivals() -> Vec<u64> {
        (0..100).map(|n| n * PART).collect()
    }

    #[test]
    fn a_part_in_time_is_no_stall_and_a_late_one_is_as_long_as_it_was_late() {
        let (arrivals, mut player) = (arrivals(), Player::new(PART));
        player.on_playable(200_000, 0, true, Some(&arrivals));
        assert_eq!(player.waits_for(Some(&arrivals)), Some((1, 1_330_000)), "started when due, not before");
        player.on_playable(1_430_000, 1, false, Some(&arrivals));
        let expected = Played { started: Some(1_000_000), stalled: 100_000, stalls: 1, skipped: 0 };
        assert_eq!(player.played(1_430_000, 99, Some(&arrivals)), expected);
        assert_eq!(player.waits_for(Some(&arrivals)), Some((2, 1_730_000)), "and catches up a tenth faster");
        assert_eq!(player.played(1_830_000, 99, Some(&arrivals)).stalled, 200_000, "a wait counts while it lasts");
        assert_eq!(player.played(1_830_000, 2, Some(&arrivals)).stalled, 100_000, "but not for what will never come");
    }

    #[test]
    fn who_waits_too_long_jumps_to_a_key_frame() {
        let (arrivals, mut player) = (arrivals(), Player::new(PART));
        player.on_playable(0, 0, true, Some(&arrivals));
        let stood = (2..9).map(|part| player.on_playable(3_400_000, part, part == 6, Some(&arrivals))).sum::<u64>();
        assert_eq!(stood, 3_400_000 - 1_330_000);
        let played = player.played(3_400_000, 99, Some(&arrivals));
        assert_eq!((played.stalled, played.skipped), (3_400_000 - 1_330_000, 5));
        assert_eq!(player.waits_for(Some(&arrivals)).unwrap().0, 9);
    }

    #[test]
    fn on_demand_plays_one_after_the_other() {
        let mut player = Player::new(PART);
        player.on_playable(50, 30, true, None);
        player.on_playable(60, 31, false, None);
        player.on_playable(70, 32, false, None);
        assert_eq!(player.waits_for(None), Some((33, 50 + 3 * PART)));
        player.seek(60);
        player.on_playable(80_000, 66, true, None);
        assert_eq!(player.waits_for(None), None, "what lies behind the place it went to is there already");
        player.on_playable(90_000, 60, true, None);
        assert_eq!(player.waits_for(None), Some((61, 90_000 + PART)));
        assert_eq!(player.played(90_000, 99, None), Played { started: Some(50), stalled: 0, stalls: 0, skipped: 0 });
    }
}
