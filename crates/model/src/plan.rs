//! What does an event need? Servers for a live audience that comes within some time and stays for a while: how much must
//! be there, who has to wait, and how much is sent.
//!
//! Live viewers give while they watch ([`crate::Live`]); the least a server sends is that of [`crate::bounds`], with what
//! such a system loses in practice. The audience's coming is a flow (expectations); how far a real one fluctuates around
//! that is added as Erlang's headroom ([`crate::erlang`]). Who finds no room waits and asks again, and gives up as readily as
//! who watches leaves.
//!
//! Invariant: no more is admitted than servers and those past their warm-up can carry at that time.

use std::collections::VecDeque;

use crate::bounds::Losses;
use crate::{Bps, InputError, Seconds, Share, erlang};

/// What is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// n: how many watch at once, at the peak.
    pub viewers: f64,
    /// T: how long it takes until they are there.
    pub arrival: Seconds,
    /// How long one stays, on average (exponentially).
    pub stay: Seconds,
    /// How long all of it lasts; the audience is kept at n after T.
    pub length: Seconds,
    /// r: the stream's rate.
    pub rate: Bps,
    /// What a viewer can send on average, of those who can reach others.
    pub upload: Bps,
    /// Who cannot reach any other viewer, and takes everything from the servers.
    pub blocked: Share,
    /// w: how long a viewer takes before it gives.
    pub warm_up: Seconds,
    /// What is lost of uploads, and sent beside the media.
    pub losses: Losses,
    /// What servers send at least, of the demand of those who can reach others, however much those could give.
    pub floor: Share,
    /// How many arrivals out of all may find no room because of chance.
    pub refused: Share,
}

/// A statement about a plan, at half the stream's rate from each of a thousand, that holds.
macro_rules! planned {
    ($statement:literal) => {
        concat!(
            "```\n# use trellis_model::{Bps, Seconds, Share, bounds::Losses, plan::{Event, Plan}};\n",
            "# let minutes = |count: f64| Seconds::new(count * 60.0);\n",
            "# let event = Event { viewers: 1000.0, arrival: minutes(10.0)?, stay: minutes(60.0)?, length: minutes(120.0)?,\n",
            "#     rate: Bps::new(2e6)?, upload: Bps::new(1e6)?, blocked: Share::new(0.0)?, warm_up: Seconds::new(0.0)?,\n",
            "#     losses: Losses::none(), floor: Share::new(0.0)?, refused: Share::new(1e-3)? };\n",
            "# let plan = Plan::new(event)?;\nassert!(",
            $statement,
            ");\n# Ok::<(), trellis_model::InputError>(())\n```"
        )
    };
}

/// An event that was checked, ready to be asked.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    viewers: f64,
    arrival_s: f64,
    stay_s: f64,
    length_s: f64,
    warm_up_s: f64,
    /// r(1 + h).
    each_bps: f64,
    /// η·ū(1 − b): what a viewer past its warm-up gives, of all of them.
    gives_bps: f64,
    /// Of r(1 + h), what servers send each viewer in any case.
    fixed: f64,
    headroom: f64,
}

/// How an event goes with so much server bandwidth.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Course {
    /// From when on nobody has to wait any more, s; None if somebody still waits at the end.
    pub guaranteed_s: Option<f64>,
    /// How many arrivals were told to wait.
    pub refused: f64,
    /// Most of them in a minute.
    pub refused_per_minute_max: f64,
    /// Most who waited at once.
    pub waiting_max: f64,
    /// R at its worst: which share of those who were there or waited had to wait.
    pub waiting_share_max: f64,
    /// The most the servers sent, bit/s.
    pub server_bps_max: f64,
    /// All that the servers sent, bits.
    pub server_bits: f64,
    /// All that viewers took, bits.
    pub demand_bits: f64,
}

impl Plan {
    /// Checks that there is an audience, a rate, and time for both, and that it can be counted out: no time is above
    /// [`TIME_S_MAX`], and no amount leaves the range of numbers.
    #[doc = planned!("Plan::new(Event { viewers: 0.0, ..event }).is_err()")]
    pub fn new(event: Event) -> Result<Self, InputError> {
        let Event { viewers, blocked, .. } = event;
        if !viewers.is_finite() || viewers < 0.0 {
            return Err(InputError::NotANumber("the viewers"));
        }
        if viewers == 0.0 {
            return Err(InputError::Zero("the viewers"));
        }
        let (stay_s, length_s) = (event.stay.positive("the stay")?, event.length.positive("the event's length")?);
        let each_bps = event.rate.positive("the rate (r)")? * (1.0 + event.losses.overhead.get());
        let (gives_bps, slots) = (event.upload.get(), erlang::slots_for(viewers, event.refused)?);
        for (time_s, parameter) in [
            (stay_s, "the stay, s,"),
            (length_s, "the event's length, s,"),
            (event.arrival.get(), "the time until all are there, s,"),
            (event.warm_up.get(), "the warm-up, s,"),
        ] {
            if time_s > TIME_S_MAX as f64 {
                return Err(InputError::TooMuch(parameter, TIME_S_MAX));
            }
        }
        if !(viewers / stay_s * length_s.max(60.0)).is_finite() {
            return Err(InputError::NotANumber("how many come in all (viewers per stay, times the event's length)"));
        }
        if !(viewers * each_bps.max(gives_bps) * length_s).is_finite() {
            return Err(InputError::NotANumber("what all viewers take or give (the rate, the upload)"));
        }
        let open = 1.0 - blocked.get();
        Ok(Self {
            viewers,
            arrival_s: event.arrival.get(),
            stay_s,
            length_s,
            warm_up_s: event.warm_up.get(),
            each_bps,
            gives_bps: event.losses.utilization.get() * event.upload.get() * open,
            fixed: blocked.get() + open * event.floor.get(),
            // Who may be refused often is still to be served on average.
            headroom: (slots as f64 / viewers).max(1.0),
        })
    }

    /// n: how many watch at once, at the peak.
    #[doc = planned!("plan.viewers() == 1000.0")]
    pub fn viewers(&self) -> f64 {
        self.viewers
    }

    /// What one viewer takes, r(1 + h), bit/s.
    #[doc = planned!("plan.each_bps() == 2e6")]
    pub fn each_bps(&self) -> f64 {
        self.each_bps
    }

    /// n' / n: room for how many times the audience keeps what chance refuses below the share asked for.
    #[doc = planned!("plan.headroom() == 1.072")]
    pub fn headroom(&self) -> f64 {
        self.headroom
    }

    /// What servers send `viewers` that came long ago, some of them new as others leave, bit/s:
    /// max{n(β − αf), what they send in any case}, f past their warm-up. Without losses and warm-up that is the bound of
    /// Kumar, Liu and Ross ([`crate::bounds::server_bps_min`]).
    #[doc = planned!("(plan.steady_bps(1000.0) - 1e9).abs() < 1e-3")]
    pub fn steady_bps(&self, viewers: f64) -> f64 {
        let warm = (-self.warm_up_s / self.stay_s).exp();
        self.load_bps(viewers, viewers * warm)
    }

    /// How many viewers so much server bandwidth carries for good; ∞ if it has no end.
    #[doc = planned!("plan.viewers_max(1e9).round() == 1000.0")]
    pub fn viewers_max(&self, server_bps: f64) -> f64 {
        let warm = (-self.warm_up_s / self.stay_s).exp();
        let most = |each: f64| if each > 0.0 { server_bps / each } else { f64::INFINITY };
        most(self.each_bps - warm * self.gives_bps).min(most(self.fixed * self.each_bps))
    }

    /// Arrivals per second until the audience is there.
    #[doc = planned!("(plan.arrivals_per_s() - 1.809).abs() < 1e-3")]
    pub fn arrivals_per_s(&self) -> f64 {
        let turnover = self.viewers / self.stay_s;
        turnover / -(-self.arrival_s / self.stay_s).exp_m1()
    }

    /// How it goes with so much: step by step, at most 100,000 of them.
    #[doc = planned!("plan.course(2e9).refused == 0.0 && plan.course(0.9e9).guaranteed_s.is_none()")]
    pub fn course(&self, server_bps: f64) -> Course {
        let step_s = self.step_s();
        let mut audience = Audience::new(self, step_s);
        let mut told = Told::default();
        let steps = (self.length_s / step_s).ceil() as u64;
        for step in 0..steps {
            let at_s = step as f64 * step_s;
            audience.leave();
            let come = self.come(at_s, step_s);
            // Some of them are gone again by the end of the step.
            let come_to_stay = come * self.stay_on(step_s);
            let room = (self.viewers_beside(server_bps, audience.warm) - audience.present()).max(0.0);
            audience.come(come_to_stay, room);
            let refused = if come > 0.0 { come * (1.0 - audience.at_once / come_to_stay).max(0.0) } else { 0.0 };
            told.wait(at_s, step_s, refused, &audience);
            told.send(self.load_bps(audience.present(), audience.warm), self.each_bps * audience.present(), step_s);
        }
        told.course(audience.waiting)
    }

    /// Fine enough for a warm-up and for the audience's coming; bounded.
    fn step_s(&self) -> f64 {
        let scales = [self.arrival_s / 500.0, self.length_s / 500.0, self.stay_s / 20.0, self.warm_up_s / 4.0];
        let fine = scales.into_iter().filter(|scale| *scale > 0.0).fold(f64::INFINITY, f64::min);
        fine.max(self.length_s / STEPS_MAX)
    }

    /// Who comes in a step: all at once, or until T as fast as it takes, then as many as leave when all are there.
    fn come(&self, at_s: f64, step_s: f64) -> f64 {
        if at_s == 0.0 && self.arrival_s < step_s {
            return self.viewers / self.stay_on(step_s);
        }
        let coming_s = (self.arrival_s - at_s).clamp(0.0, step_s);
        let coming = if coming_s > 0.0 { coming_s * self.arrivals_per_s() } else { 0.0 };
        coming + (step_s - coming_s) * self.viewers / self.stay_s
    }

    /// Which share of those who come evenly within a step is there at its end.
    fn stay_on(&self, step_s: f64) -> f64 {
        let stays = step_s / self.stay_s;
        // Of almost no time all.
        if stays < 1e-9 { 1.0 } else { -(-stays).exp_m1() / stays }
    }

    /// What servers send so many viewers when so many are past their warm-up; one copy of the stream at least.
    fn load_bps(&self, viewers: f64, warm: f64) -> f64 {
        let taken = viewers * self.each_bps;
        (taken - warm * self.gives_bps).max(taken * self.fixed).max(self.each_bps.min(taken))
    }

    /// How many viewers there can be at once beside so many past their warm-up.
    fn viewers_beside(&self, server_bps: f64, warm: f64) -> f64 {
        let carried = (server_bps + warm * self.gives_bps) / self.each_bps;
        let fixed = if self.fixed > 0.0 { server_bps / (self.fixed * self.each_bps) } else { f64::INFINITY };
        carried.min(fixed)
    }
}

/// Most steps of a course.
const STEPS_MAX: f64 = 100_000.0;
/// Three hundred years.
pub const TIME_S_MAX: u64 = 10_000_000_000;
/// Fewer than this are nobody.
const NOBODY: f64 = 1e-3;

/// Who is there: new ones by the step in which they came (as many as came then), and the others; and who waits.
struct Audience {
    cold: VecDeque<f64>,
    cold_now: f64,
    warm: f64,
    waiting: f64,
    /// Who has been let in in this step, of those who came in it.
    at_once: f64,
    /// Which share is still there after a step, and after a warm-up.
    stays: f64,
    stays_warm_up: f64,
}

impl Audience {
    fn new(plan: &Plan, step_s: f64) -> Self {
        // Who warms up longer than the event lasts never gives.
        let steps = (plan.warm_up_s.min(plan.length_s + step_s) / step_s).round() as usize;
        let stays = (-step_s / plan.stay_s).exp();
        let cold = VecDeque::from(vec![0.0; steps]);
        let stays_warm_up = stays.powf(steps as f64);
        Self { cold, cold_now: 0.0, warm: 0.0, waiting: 0.0, at_once: 0.0, stays, stays_warm_up }
    }

    fn present(&self) -> f64 {
        self.warm + self.cold_now
    }

    /// A step goes by.
    fn leave(&mut self) {
        self.warm *= self.stays;
        self.cold_now *= self.stays;
        self.waiting *= self.stays;
    }

    /// Who waited goes in first, then who comes, as far as there is room; the others wait.
    fn come(&mut self, come: f64, room: f64) {
        let waited = room.min(self.waiting);
        self.at_once = come.min(room - waited);
        self.waiting += come - waited - self.at_once;
        self.cold.push_back(waited + self.at_once);
        let grown = self.cold.pop_front().unwrap_or_default() * self.stays_warm_up;
        self.cold_now = (self.cold_now + waited + self.at_once - grown).max(0.0);
        self.warm += grown;
    }
}

/// What has been told so far.
#[derive(Default)]
struct Told {
    waited_until_s: f64,
    minute_from_s: f64,
    minute_refused: f64,
    course: Course,
}

impl Told {
    fn wait(&mut self, at_s: f64, step_s: f64, refused: f64, audience: &Audience) {
        if at_s >= self.minute_from_s + 60.0 {
            (self.minute_from_s, self.minute_refused) = (at_s, 0.0);
        }
        self.minute_refused += refused;
        // Whole steps make a minute, or more than one.
        let minutes = ((at_s + step_s - self.minute_from_s) / 60.0).max(1.0);
        let told = &mut self.course;
        told.refused += refused;
        told.refused_per_minute_max = told.refused_per_minute_max.max(self.minute_refused / minutes);
        if audience.waiting > NOBODY {
            self.waited_until_s = at_s + step_s;
            let all = audience.waiting + audience.present();
            told.waiting_max = told.waiting_max.max(audience.waiting);
            told.waiting_share_max = told.waiting_share_max.max(audience.waiting / all);
        }
    }

    fn send(&mut self, server_bps: f64, demand_bps: f64, step_s: f64) {
        let told = &mut self.course;
        told.server_bps_max = told.server_bps_max.max(server_bps);
        told.server_bits += server_bps * step_s;
        told.demand_bits += demand_bps * step_s;
    }

    fn course(self, waiting: f64) -> Course {
        Course { guaranteed_s: (waiting <= NOBODY).then_some(self.waited_until_s), ..self.course }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let minutes = |count: f64| Seconds::new(count * 60.0).unwrap();
        let share = |share: f64| Share::new(share).unwrap();
        let bps = |rate: f64| Bps::new(rate).unwrap();
        Event {
            viewers: 10_000.0,
            arrival: minutes(10.0),
            stay: minutes(30.0),
            length: minutes(180.0),
            rate: bps(3e6),
            upload: bps(2e6),
            blocked: share(0.05),
            warm_up: Seconds::new(20.0).unwrap(),
            losses: Losses { utilization: share(0.95), overhead: share(0.03) },
            floor: share(0.02),
            refused: share(1e-3),
        }
    }

    #[test]
    fn what_is_too_little_turns_away_as_many_as_it_cannot_carry_and_never_sends_more_than_it_has() {
        let plan = Plan::new(event()).unwrap();
        let server = 0.8 * plan.steady_bps(10_000.0);
        let course = plan.course(server);
        assert_eq!(course.guaranteed_s, None);
        assert!(course.server_bps_max <= server * 1.000_001, "{} of {server}", course.server_bps_max);
        let outside = 1.0 - plan.viewers_max(server) / 10_000.0;
        assert!((course.waiting_share_max - outside).abs() < 0.02, "{} and {outside}", course.waiting_share_max);
    }

    #[test]
    fn a_crowd_at_once_is_served_when_the_first_have_warmed_up() {
        let crowd = Plan::new(Event { arrival: Seconds::new(0.0).unwrap(), upload: Bps::new(9e6).unwrap(), ..event() })
            .unwrap();
        let course = crowd.course(0.3 * crowd.each_bps() * 10_000.0);
        // Three tenths at once, and after a warm-up those carry the others.
        assert!((course.waiting_share_max - 0.7).abs() < 0.01, "{course:?}");
        assert!(course.guaranteed_s.is_some_and(|at| (20.0..45.0).contains(&at)), "{course:?}");
        let ample = crowd.course(f64::INFINITY);
        assert_eq!((ample.guaranteed_s, ample.refused), (Some(0.0), 0.0));
        assert!((ample.server_bps_max / (crowd.each_bps() * 10_000.0) - 1.0).abs() < 0.01, "all of it at first");
    }

    #[test]
    fn extremes_are_counted_out_or_named() {
        let times = [1e-300, 1e-3, 1.0, 1800.0, 1e9, 1e300];
        let seconds = |time: f64| Seconds::new(time).unwrap();
        let (mut counted, mut named) = (0, 0);
        let cases = times.iter().flat_map(|stay| times.iter().map(move |length| (*stay, *length)));
        let cases = cases.flat_map(|(stay, length)| [0.0, 1e-320, 0.3, 600.0].map(|arrival| (stay, length, arrival)));
        let cases = cases.filter(|(_, length, arrival)| arrival < length);
        for ((stay, length, arrival), warm_up) in
            cases.flat_map(|case| [0.0, 5.0, 1e9, 1e12].map(|warm_up| (case, warm_up)))
        {
            let times = (seconds(stay), seconds(length), seconds(arrival), seconds(warm_up));
            let event = Event { stay: times.0, length: times.1, arrival: times.2, warm_up: times.3, ..event() };
            let Ok(plan) = Plan::new(event) else {
                named += 1;
                continue;
            };
            counted += 1;
            for server in [0.0, 1e10, f64::INFINITY] {
                let course = plan.course(server);
                let Course { refused, refused_per_minute_max, waiting_max, server_bps_max, demand_bits, .. } = course;
                let all = [refused, refused_per_minute_max, waiting_max, server_bps_max, demand_bits];
                assert!(all.iter().all(|number| number.is_finite() && *number >= 0.0), "{event:?}: {course:?}");
                // At no time are there more than come: n. (Those who wait are of them.)
                let most = 10_000.0 * 1.001;
                assert!(waiting_max <= most && server_bps_max <= plan.each_bps() * most, "{event:?}: {course:?}");
            }
        }
        assert!(counted > 50 && named > 50, "{counted} counted, {named} named");
        let error = Plan::new(Event { stay: seconds(1e-310), ..event() }).unwrap_err();
        assert!(error.to_string().starts_with("how many come in all (viewers per stay"), "{error}");
        let error = Plan::new(Event { warm_up: seconds(1e11), ..event() }).unwrap_err();
        assert_eq!(error.to_string(), "the warm-up, s, must be at most 10000000000");
    }

    #[test]
    fn refusals_per_minute_are_of_a_minute_however_coarse_the_steps() {
        // Nobody is served, so who comes is refused: as many as leave, of those there would be.
        let day = Event { length: Seconds::new(30.0 * 86_400.0).unwrap(), arrival: Seconds::default(), ..event() };
        for (stay_s, warm_up_s) in [(1800.0, 0.0), (7200.0, 0.0), (36_000.0, 0.0)] {
            let (stay, warm_up) = (Seconds::new(stay_s).unwrap(), Seconds::new(warm_up_s).unwrap());
            let plan = Plan::new(Event { stay, warm_up, ..day }).unwrap();
            let step_s = plan.step_s();
            let per_minute = 10_000.0 / stay_s * 60.0;
            let course = plan.course(0.0);
            // After all at first.
            let all = course.refused - 10_000.0;
            assert!((all / (per_minute * 30.0 * 1440.0) - 1.0).abs() < 0.05, "{course:?}");
            let at_first = (10_000.0 / (step_s / 60.0).max(1.0)).max(per_minute);
            assert!((course.refused_per_minute_max / at_first - 1.0).abs() < 0.1, "step {step_s}: {course:?}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        let error = |event| Plan::new(event).unwrap_err().to_string();
        assert_eq!(error(Event { viewers: 0.0, ..event() }), "the viewers must be more than zero");
        assert_eq!(
            error(Event { refused: Share::default(), ..event() }),
            "the share that may be refused must be more than zero"
        );
    }
}
