//! What will come of a running cluster, how surely, and did it? Estimates go in; what the model makes of them comes out as a
//! value with a range, for which the model is asked again with numbers drawn as unsure as the estimates are. Same estimates,
//! same forecast.
//!
//! Times count from the cluster's first request. When supporters leave, the discrete model is used, which is somewhat too
//! hopeful ([`crate::Leaving`]). Two kinds of clusters: supporters who have seen all ([`Forecast`]), and viewers who support
//! while they watch ([`Forecast::viewers_max`], and all that has `live` in its name).

use crate::chance::Seeded;
use crate::estimate::{Estimate, Estimates};
use crate::{Bps, Growth, Leaving, Offer, PerSecond, Seconds, Share};

/// A number, and from where to where it lies with a chance of 95 in 100; each may be ∞: never.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// As if the estimates were true.
    pub value: f64,
    /// 2.5 % are below.
    pub low: f64,
    /// 2.5 % are above.
    pub high: f64,
}

/// What happened beside what was said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// Measured − predicted.
    pub difference: f64,
    /// Whether it is within what was said.
    pub within: bool,
}

impl Range {
    /// What happened beside this.
    /// ```
    /// use trellis_model::forecast::{Range, Residual};
    /// let said = Range { value: 0.5, low: 0.4, high: 0.7 };
    /// assert_eq!(said.residual(0.75), Residual { difference: 0.25, within: false });
    /// ```
    pub fn residual(self, measured: f64) -> Residual {
        // ∞ that came true.
        let difference = if measured == self.value { 0.0 } else { measured - self.value };
        Residual { difference, within: (self.low..=self.high).contains(&measured) }
    }
}

/// What the estimates say, and what they could be.
#[derive(Debug, Clone)]
pub struct Forecast {
    likeliest: Draw,
    draws: Vec<Draw>,
}

/// One way the numbers could be.
#[derive(Debug, Clone, Copy)]
struct Draw {
    cluster: Leaving,
    growth: Growth,
    server_bps: f64,
    session_bps: f64,
    brought_bps: f64,
    length_s: f64,
    /// By what the requests of an interval are off their mean: so many times its root.
    luck: f64,
}

/// A statement about a forecast.
macro_rules! forecast {
    ($statement:literal) => {
        concat!(
            "```\n# use trellis_model::{estimate::{Estimate, Estimates}, forecast::Forecast};\n",
            "# let about = |value: f64| Some(Estimate { value, error: value / 20.0 });\n",
            "# let estimates = Estimates { arrivals: about(0.5), session_bps: about(1e6), support_bps: about(1e6),\n",
            "#     brought_bps: about(0.5e6), length_s: about(2000.0), linger_s: None };\n",
            "# let forecast = Forecast::new(Estimate::known(120e6), &estimates).expect(\"all is known\");\nassert!(",
            $statement,
            ");\n```"
        )
    };
}

mod live;

impl Forecast {
    /// From B, bit/s, and the estimates; None until λ, β, α and L are known and there is something of λ, β and L.
    #[doc = forecast!("Forecast::new(Estimate::known(1e6), &Estimates { length_s: None, ..estimates }).is_none()")]
    pub fn new(server_bps: Estimate, estimates: &Estimates) -> Option<Self> {
        let mut chance = Seeded::new(0);
        let draws = (0..DRAWS).filter_map(|_| Draw::new(server_bps, estimates, &mut || chance.normal())).collect();
        Some(Self { likeliest: Draw::new(server_bps, estimates, &mut || 0.0)?, draws })
    }

    /// t_0: when the server is full, s.
    #[doc = forecast!("(forecast.saturation_s().value - 240.0).abs() < 1.0")]
    pub fn saturation_s(&self) -> Range {
        self.range(|draw| draw.growth.saturation_s())
    }

    /// t_g: when capacity meets demand by (9), s.
    #[doc = forecast!("(6000.0..6300.0).contains(&forecast.guarantee_s().value) && forecast.guarantee_s().high < 8000.0")]
    pub fn guarantee_s(&self) -> Range {
        self.range(|draw| draw.cluster.guarantee_intervals() * draw.length_s)
    }

    /// K·L: when the last request is refused, s.
    #[doc = forecast!("(forecast.full_s().value - 8000.0).abs() < 20.0")]
    pub fn full_s(&self) -> Range {
        self.range(|draw| whole_intervals(draw.cluster.guarantee_intervals()) * draw.length_s)
    }

    /// C: what server and supporters can send in the interval of this time, bit/s.
    #[doc = forecast!("(forecast.capacity_bps(trellis_model::Seconds::new(2500.0).unwrap()).value / 240e6 - 1.0).abs() < 0.01")]
    pub fn capacity_bps(&self, at: Seconds) -> Range {
        self.range(|draw| draw.interval(at).0)
    }

    /// R: which share of the requests of that interval is refused; the range knows that their number is chance.
    #[doc = forecast!("(forecast.rejection(trellis_model::Seconds::new(2500.0).unwrap()).value - 0.76).abs() < 0.01")]
    pub fn rejection(&self, at: Seconds) -> Range {
        self.range(|draw| draw.interval(at).1)
    }

    /// L/n: how long until one of n sessions under way ends, on average, s: when it is worth asking again. In both kinds of
    /// clusters; with sessions much of one length their ends come in bunches.
    #[doc = forecast!("(forecast.next_place_s(100).value - 20.0).abs() < 1e-9")]
    pub fn next_place_s(&self, watching: u32) -> Range {
        self.range(|draw| draw.length_s / f64::from(watching.max(1)))
    }

    /// n_max = B/(β − αf): how many viewers there can be for good, when viewers support while they watch; ∞ when they bring
    /// as much as they take.
    #[doc = forecast!("(forecast.viewers_max().value - 240.0).abs() < 1.0")]
    pub fn viewers_max(&self) -> Range {
        self.range(Draw::viewers_max)
    }

    /// 1 − n_max/(λL), if it is above 0: which share of requests such a cluster refuses for good.
    #[doc = forecast!("(forecast.live_rejection().value - 0.76).abs() < 0.01")]
    pub fn live_rejection(&self) -> Range {
        self.range(|draw| (1.0 - draw.viewers_max() / draw.growth.offered_sessions()).max(0.0))
    }

    fn range(&self, of: impl Fn(&Draw) -> f64) -> Range {
        let mut all: Vec<f64> = self.draws.iter().map(&of).collect();
        all.sort_unstable_by(f64::total_cmp);
        let value = of(&self.likeliest);
        let at = |share: f64| all.get((all.len() as f64 * share) as usize).copied().unwrap_or(value);
        Range { value, low: at(0.025).min(value), high: at(0.975).max(value) }
    }
}

impl Draw {
    /// Each number from its estimate, by normal chance: as a power, so that none is below 0.
    fn new(server: Estimate, estimates: &Estimates, chance: &mut impl FnMut() -> f64) -> Option<Self> {
        let mut draw = |estimate: Estimate| {
            let normal = chance();
            let squared = (estimate.error / estimate.value).powi(2);
            // Nothing, or as good as nothing known.
            let log = if squared.is_finite() { squared.min(LOG_MAX).ln_1p() } else { 0.0 };
            estimate.value * (log.sqrt() * normal).exp()
        };
        let server_bps = draw(server);
        let arrivals = draw(estimates.arrivals?);
        let session_bps = draw(estimates.session_bps?);
        let support_bps = draw(estimates.support_bps?);
        let length_s = draw(estimates.length_s?);
        let brought_bps = draw(estimates.brought_bps.unwrap_or(Estimate::known(0.0)));
        let linger_s = estimates.linger_s.map(draw);
        let growth = Growth::new(Offer {
            server: Bps::new(server_bps).ok()?,
            session: Bps::new(session_bps).ok()?,
            support: Bps::new(support_bps).ok()?,
            arrivals: PerSecond::new(arrivals).ok()?,
            length: Seconds::new(length_s).ok()?,
        });
        let growth = growth.ok()?;
        let leaving = linger_s.map_or(0.0, |linger_s| -(-length_s / linger_s).exp_m1());
        let cluster = growth.with_leaving(Share::new(leaving).ok()?);
        Some(Self { cluster, growth, server_bps, session_bps, brought_bps, length_s, luck: chance() })
    }

    /// C and R of the interval that this time is in.
    fn interval(&self, at: Seconds) -> (f64, f64) {
        let number = (at.get() / self.length_s).min(INTERVALS_MAX) as usize;
        let capacity_bps =
            self.cluster.intervals().nth(number).map_or(self.server_bps, |interval| interval.capacity_bps);
        let requests = 1.0 + self.luck / self.growth.offered_sessions().sqrt();
        (capacity_bps, (1.0 - capacity_bps / (self.growth.demand_bps() * requests.max(f64::MIN_POSITIVE))).max(0.0))
    }

    fn viewers_max(&self) -> f64 {
        let short = self.session_bps - self.brought_bps;
        if short > 0.0 { self.server_bps / short } else { f64::INFINITY }
    }
}

/// ⌈t⌉, but a hair's breadth above a whole number is that one.
fn whole_intervals(intervals: f64) -> f64 {
    (intervals - 1e-9).ceil().max(0.0)
}

/// Enough for a range to move by a few hundredths of its width, few enough to ask every second.
const DRAWS: usize = 400;
/// An error of a thousand times the value is as good as any.
const LOG_MAX: f64 = 1e6;
/// Later than that nothing changes.
const INTERVALS_MAX: f64 = 1000.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// λ, β, α, αf, L.
    fn estimates(values: [f64; 5], error: f64) -> Estimates {
        let [arrivals, session_bps, support_bps, brought_bps, length_s] =
            values.map(|value| Some(Estimate { value, error: error * value }));
        Estimates { arrivals, session_bps, support_bps, brought_bps, length_s, linger_s: None }
    }

    const TRUE: [f64; 5] = [0.5, 1e6, 0.8e6, 0.6e6, 2000.0];

    #[test]
    fn the_truth_lies_in_the_range_as_often_as_is_said() {
        let (mut chance, server, error) = (Seeded::new(1), Estimate::known(125e6), 0.05);
        let at = Seconds::new(5000.0).unwrap();
        let told = |forecast: &Forecast| {
            [
                forecast.saturation_s(),
                forecast.guarantee_s(),
                forecast.full_s(),
                forecast.capacity_bps(at),
                forecast.rejection(at),
                forecast.viewers_max(),
                forecast.live_rejection(),
            ]
        };
        let truth = told(&Forecast::new(server, &estimates(TRUE, 0.0)).unwrap()).map(|range| range.value);
        let mut hits = [0; 7];
        for _ in 0..200 {
            let seen = TRUE.map(|value| value * (1.0 + error * chance.normal()));
            let forecast = Forecast::new(server, &estimates(seen, error)).unwrap();
            for ((range, truth), hits) in told(&forecast).into_iter().zip(truth).zip(&mut hits) {
                *hits += u32::from(range.residual(truth).within);
            }
        }
        // K is a whole number, so more often.
        assert!(hits.iter().all(|hits| (176..=200).contains(hits)), "{hits:?} of 200");
    }

    #[test]
    fn what_never_comes_is_said_so_and_nothing_is_not_a_number() {
        let none = Estimate { value: 0.0, error: 0.0 };
        let of = |server: Estimate, change: &dyn Fn(&mut Estimates)| {
            let mut estimates = estimates(TRUE, 0.1);
            change(&mut estimates);
            Forecast::new(server, &estimates)
        };
        let server = Estimate::known(125e6);
        let alone = of(server, &|estimates| estimates.support_bps = Some(none)).unwrap();
        assert_eq!((alone.guarantee_s().low, alone.full_s().value), (f64::INFINITY, f64::INFINITY));
        assert_eq!(alone.full_s().residual(f64::INFINITY), Residual { difference: 0.0, within: true });
        let rich = of(Estimate::known(1e12), &|_| ()).unwrap();
        assert_eq!((rich.saturation_s().low, rich.guarantee_s().high), (f64::INFINITY, 0.0));
        let leaving = of(server, &|estimates| estimates.linger_s = Some(Estimate::known(500.0))).unwrap();
        assert!(leaving.guarantee_s().value > of(server, &|_| ()).unwrap().guarantee_s().value);
        assert!(of(server, &|estimates| estimates.arrivals = Some(none)).is_none());
        assert!(of(server, &|estimates| estimates.session_bps = Some(none)).is_none());
        let vague = |estimate: &mut Option<Estimate>| estimate.as_mut().unwrap().error = 1e12;
        let vague = of(none, &|estimates| vague(&mut estimates.arrivals)).unwrap();
        let at = Seconds::new(1e300).unwrap();
        for range in
            [&alone, &rich, &leaving, &vague].map(|f| [f.rejection(at), f.capacity_bps(at), f.live_rejection()])
        {
            assert!(range.iter().all(|range| range.low <= range.value && range.value <= range.high), "{range:?}");
        }
    }
}
