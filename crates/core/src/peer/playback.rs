//! What must be playable by when?
//!
//! A part is due H after its descriptor came. Who joins, seeks or stalled plays later than that and catches up by playing
//! a tenth faster, as players do. Everything here follows from one cursor: the next part to play and when it is to be
//! played.

use core::time::Duration;

use trellis_proto::frame::PartId;

use crate::time::Instant;

/// The next part to play, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Which part.
    pub part: PartId,
    /// Where it starts on the run's time line, µs.
    pub start_us: u64,
    /// When it is played if it is there.
    pub at: Instant,
}

/// Where this viewer is.
#[derive(Debug, Clone)]
pub struct Playback {
    cursor: Option<Cursor>,
    /// When the player could play the cursor's part, were it due.
    free_at: Instant,
    hold_back: Duration,
    /// Who starts behind schedule gives itself this long to fetch the first part.
    start_goal: Duration,
    /// Since when the cursor's part is overdue.
    stalled_since: Option<Instant>,
    /// Stood still, not yet reported.
    stalled: Duration,
    paused: bool,
    /// There is a live edge to catch up with.
    live: bool,
    /// The player begins where it would be had it been here all the time, and needs all from the key frame before that at
    /// once; else it begins at the key frame and catches up.
    skips: bool,
    /// It has not come to where it would be yet.
    skipping: bool,
}

/// A part as playback sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartTime {
    /// Which.
    pub part: PartId,
    /// Where it starts on the run's time line, µs.
    pub start_us: u64,
    /// How long it plays, µs.
    pub duration_us: u64,
    /// When its descriptor came.
    pub arrived: Instant,
}

/// What is to be done at the cursor now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing before then.
    Wait(Instant),
    /// It is due and whole: played, the cursor moved on.
    Played(PartId),
    /// It is due and not whole; said once per stall.
    Stalled(PartId),
    /// Nothing to play is known.
    Idle,
}

impl Playback {
    /// Plays this far behind; begins on schedule, wherever the key frame before that lies, or at that one.
    pub fn new(hold_back: Duration, on_schedule: bool) -> Self {
        let (cursor, free_at, stalled_since, stalled) = (None, Instant(0), None, Duration::ZERO);
        let (start_goal, paused, live) = (START_GOAL, false, true);
        Self {
            cursor,
            free_at,
            hold_back,
            start_goal,
            stalled_since,
            stalled,
            paused,
            live,
            skips: on_schedule,
            skipping: false,
        }
    }

    /// The edge says how long the first parts will take to come: the longer, the more of them the mesh is to bring.
    pub fn set_start_goal(&mut self, goal: Duration) {
        let at_once = self.skips && goal <= START_GOAL;
        self.start_goal = if at_once { START_NOW } else { goal.clamp(START_GOAL, START_GOAL_MAX) };
    }

    /// The cluster announced another H.
    pub fn set_hold_back(&mut self, hold_back: Duration) {
        self.hold_back = hold_back;
    }

    /// There is no live edge: everything plays at its own pace.
    pub fn set_recorded(&mut self) {
        self.live = false;
    }

    /// H.
    pub fn hold_back(&self) -> Duration {
        self.hold_back
    }

    /// The next part to play.
    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// Stops for a while, or goes on where it was.
    pub fn pause(&mut self, now: Instant, paused: bool) {
        self.paused = paused;
        if let Some(cursor) = self.cursor.as_mut().filter(|_| !paused) {
            cursor.at = cursor.at.max(now);
            self.free_at = self.free_at.max(now);
        }
    }

    /// Does time pass without anything being played?
    pub fn stands_still(&self) -> bool {
        self.paused || self.is_stalled()
    }

    /// Plays from this part: as soon as it can be fetched, but not before it is due.
    pub fn start(&mut self, now: Instant, part: PartTime) {
        self.free_at = now + self.start_goal;
        let at = (part.arrived + self.hold_back).max(self.free_at);
        self.skipping = self.skips && self.live && self.cursor.is_none_or(|_| self.skipping);
        self.cursor = Some(Cursor { part: part.part, start_us: part.start_us, at });
        self.stalled += self.stalled_since.take().map_or(Duration::ZERO, |since| now.since(since));
    }

    /// Goes on with this part, which is here, as soon as it is due.
    pub fn start_here(&mut self, now: Instant, part: PartTime) {
        self.start(now, part);
        self.free_at = now;
        self.cursor.iter_mut().for_each(|cursor| cursor.at = now.max(part.arrived + self.hold_back));
    }

    /// The cursor's part came to be then. Is it due before it was?
    pub fn came_earlier(&mut self, arrived: Instant) -> bool {
        let at = (arrived + self.hold_back).max(self.free_at);
        let earlier = self.cursor.as_mut().filter(|cursor| at < cursor.at);
        earlier.map(|cursor| cursor.at = at).is_some()
    }

    /// Its first part, which came to be then, is here: begins as soon as that is due, when what is `missing` has so long to
    /// come even so. False: not yet.
    pub fn start_sooner(
        &mut self,
        now: Instant,
        arrived: Instant,
        mut missing: impl Iterator<Item = PartTime>,
        time: Duration,
    ) -> bool {
        let mut sooner = Self { free_at: now, ..self.clone() };
        let can = sooner.came_earlier(arrived) && missing.all(|part| sooner.deadline(&part) >= now + time);
        if can {
            *self = sooner;
        }
        can
    }

    /// By when must this part be there? For parts of the cursor's run and after.
    pub fn deadline(&self, part: &PartTime) -> Instant {
        let due = part.arrived + self.hold_back;
        match self.cursor {
            Some(cursor) if part.part.run == cursor.part.run => {
                let ahead = part.start_us.saturating_sub(cursor.start_us);
                // What is passed over is needed when what follows it plays.
                let ahead = if self.skipping { Duration::ZERO } else { Duration::from_micros(ahead) };
                due.max(cursor.at + self.played_in(ahead))
            }
            _ => due,
        }
    }

    /// How much later than others this viewer plays a part: it has just started or stood still, and catches up. Nothing is
    /// late for it that is so late.
    pub fn behind(&self, part: &PartTime) -> Duration {
        self.deadline(part).since(part.arrived + self.hold_back)
    }

    /// Time passes at the cursor. `whole`: is its part complete? `next`: the part after it, if known.
    pub fn step(&mut self, now: Instant, whole: bool, next: Option<PartTime>, duration: Duration) -> Step {
        let Some(cursor) = self.cursor else { return Step::Idle };
        if self.paused {
            return Step::Idle;
        }
        if now < cursor.at {
            return Step::Wait(cursor.at);
        }
        match (whole, self.stalled_since) {
            (false, None) => {
                self.stalled_since = Some(now);
                Step::Stalled(cursor.part)
            }
            (false, Some(_)) => Step::Idle,
            (true, since) => match next {
                // The next is not known: nothing to move to. The part was played when it was due.
                None => Step::Idle,
                Some(next) => {
                    let played_at = since.map_or(cursor.at, |_| now);
                    self.stalled += since.map_or(Duration::ZERO, |since| now.since(since));
                    self.stalled_since = None;
                    let due = next.arrived + self.hold_back;
                    let takes = if self.skipping { Duration::ZERO } else { self.played_in(duration) };
                    self.skipping &= due <= played_at;
                    self.free_at = played_at + takes;
                    let at = due.max(self.free_at);
                    self.cursor = Some(Cursor { part: next.part, start_us: next.start_us, at });
                    Step::Played(cursor.part)
                }
            },
        }
    }

    /// How long media of this length takes: when behind a live edge it is played a tenth faster.
    fn played_in(&self, media: Duration) -> Duration {
        if self.live { media * 10 / 11 } else { media }
    }

    /// How long playback stood still since this was last asked.
    pub fn take_stalled(&mut self, now: Instant) -> Duration {
        if let Some(since) = self.stalled_since.as_mut() {
            self.stalled += now.since(*since);
            *since = now;
        }
        core::mem::take(&mut self.stalled)
    }

    /// Does it stand still for want of a part?
    pub fn is_stalled(&self) -> bool {
        self.stalled_since.is_some()
    }
}

/// The shortest time to the first part: two round trips and the transfer, so that the edge is asked for it at once.
const START_GOAL: Duration = Duration::from_millis(300);
/// Who begins on schedule has its player waiting: no neighbor can be linked to before the edge has answered.
const START_NOW: Duration = Duration::from_millis(60);
/// The longest.
const START_GOAL_MAX: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;
    use trellis_proto::RunId;

    const PART: Duration = Duration::from_millis(330);

    fn part(number: u64, arrived_ms: u64) -> PartTime {
        let id = PartId { run: RunId(1), part: number };
        PartTime { part: id, start_us: number * 330_000, duration_us: 330_000, arrived: Instant(arrived_ms * 1000) }
    }

    fn at(ms: u64) -> Instant {
        Instant(ms * 1000)
    }

    #[test]
    fn parts_play_a_hold_back_after_they_came() {
        let mut playback = Playback::new(Duration::from_secs(1), false);
        playback.start(at(0), part(7, 0));
        assert_eq!(playback.step(at(10), true, Some(part(8, 330)), PART), Step::Wait(at(1_000)));
        assert_eq!(playback.step(at(1_000), true, Some(part(8, 330)), PART), Step::Played(part(7, 0).part));
        assert_eq!(playback.cursor().unwrap().at, at(1_330));
        assert_eq!(playback.deadline(&part(9, 660)), at(1_660));
    }

    #[test]
    fn who_joins_late_in_a_segment_starts_when_the_edge_says_that_the_first_part_can_be_there() {
        let mut playback = Playback::new(Duration::from_secs(1), false);
        playback.start(at(2_000), part(0, 0));
        assert_eq!(playback.cursor().unwrap().at, at(2_300), "at once");
        playback.set_start_goal(Duration::from_millis(1_200));
        playback.start(at(2_000), part(0, 0));
        assert_eq!(playback.cursor().unwrap().at, at(3_200));
        playback.start(at(2_000), part(6, 2_000));
        assert_eq!(playback.cursor().unwrap().at, at(3_200), "what has just come is not due sooner than that either");
        assert_eq!(playback.behind(&part(6, 2_000)), Duration::from_millis(200));
        assert_eq!(playback.behind(&part(8, 2_660)), Duration::from_millis(140), "catches up a tenth faster");
        playback.set_start_goal(Duration::from_secs(1_000));
        playback.start(at(2_000), part(0, 0));
        assert_eq!(playback.cursor().unwrap().at, at(5_000), "nobody is made to wait for ever");
    }

    #[test]
    fn who_starts_on_schedule_needs_all_that_is_past_at_once_and_is_not_behind_after_that() {
        let mut playback = Playback::new(Duration::from_secs(1), true);
        playback.start(at(2_000), part(0, 0));
        let deadlines = [0, 1, 3, 4, 6].map(|n| playback.deadline(&part(n, n * 330)));
        assert_eq!(deadlines, [2_300, 2_300, 2_300, 2_320, 2_980].map(at));
        for n in 0..4 {
            assert_eq!(
                playback.step(at(2_300), true, Some(part(n + 1, (n + 1) * 330)), PART),
                Step::Played(part(n, 0).part)
            );
        }
        assert_eq!(playback.cursor().unwrap().at, at(2_320), "in the midst of the one before");
        assert_eq!(playback.step(at(2_320), false, Some(part(5, 1_650)), PART), Step::Stalled(part(4, 0).part));
        assert_eq!(playback.step(at(3_320), true, Some(part(5, 1_650)), PART), Step::Played(part(4, 0).part));
        assert_eq!(playback.cursor().unwrap().at, at(3_620), "after a stall nothing is passed over");
    }

    #[test]
    fn who_was_told_to_begin_late_begins_sooner_when_what_is_missing_has_its_time_even_so() {
        let mut playback = Playback::new(Duration::from_secs(1), false);
        playback.set_start_goal(Duration::from_millis(1_400));
        playback.start(at(2_000), part(0, 0));
        let time = Duration::from_millis(700);
        let sooner = |playback: &mut Playback, ms, missing: &[PartTime]| {
            playback
                .start_sooner(at(ms), part(0, 0).arrived, missing.iter().copied(), time)
                .then(|| playback.cursor().unwrap().at)
        };
        assert_eq!(
            sooner(&mut playback, 2_200, &[part(2, 660), part(6, 2_000)]),
            None,
            "played 600 ms after the first"
        );
        assert_eq!(playback.cursor().unwrap().at, at(3_400), "as it was");
        assert_eq!(sooner(&mut playback, 2_200, &[part(3, 990), part(6, 2_000)]), Some(at(2_200)));
        assert_eq!(sooner(&mut playback, 2_300, &[]), None, "it has begun");
        playback.start(at(2_000), part(6, 1_980));
        let began = playback.start_sooner(at(2_100), part(6, 1_980).arrived, [].into_iter(), time);
        assert_eq!((began, playback.cursor().unwrap().at), (true, at(2_980)), "not before it is due");
    }

    #[test]
    fn who_stalls_plays_on_when_it_can_and_catches_up() {
        let mut playback = Playback::new(Duration::from_secs(1), false);
        playback.start(at(0), part(0, 0));
        assert_eq!(playback.step(at(1_000), false, Some(part(1, 330)), PART), Step::Stalled(part(0, 0).part));
        assert_eq!(playback.step(at(1_100), false, Some(part(1, 330)), PART), Step::Idle);
        assert_eq!(playback.step(at(1_400), true, Some(part(1, 330)), PART), Step::Played(part(0, 0).part));
        assert_eq!(playback.take_stalled(at(1_400)), Duration::from_millis(400));
        assert_eq!(playback.cursor().unwrap().at, at(1_700), "played a tenth faster: 330 ms take 300");
    }
}
