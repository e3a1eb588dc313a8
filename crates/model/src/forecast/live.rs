//! What will come of a live cluster from now on? Viewers support while they watch, so what they bring leaves with them: of
//! n who watch, those who come without being refused make λL + (n − λL)e^(−t/L) after t (stays are exponential), and never
//! more than n_max.
//!
//! Whoever has just come is counted as bringing what viewers bring on average: the warm-up is in αf, not in time.

use super::{Draw, Forecast, Range};
use crate::Seconds;

impl Forecast {
    /// t_0 from now: when n_max watch, s, of whom so many do now; ∞ when demand stays below.
    #[doc = forecast!("(forecast.live_full_in_s(0.0).value - 548.9).abs() < 0.1")]
    pub fn live_full_in_s(&self, watching: f64) -> Range {
        self.range(|draw| draw.live_full_in_s(watching))
    }

    /// t_g from now, s: 0 when all who come can be served for good, ∞ when not; a live cluster's capacity grows no further
    /// than its viewers.
    #[doc = forecast!("forecast.live_guarantee_in_s().value == f64::INFINITY")]
    pub fn live_guarantee_in_s(&self) -> Range {
        self.range(|draw| if draw.growth.offered_sessions() <= draw.viewers_max() { 0.0 } else { f64::INFINITY })
    }

    /// C: what server and viewers can send after this time, bit/s; the range knows that who comes and goes is chance.
    #[doc = forecast!("(forecast.live_capacity_bps(240.0, trellis_model::Seconds::new(60.0).unwrap()).value / 240e6 - 1.0).abs() < 0.01")]
    pub fn live_capacity_bps(&self, watching: f64, after: Seconds) -> Range {
        self.range(|draw| draw.server_bps + draw.brought_bps * draw.live_viewers(watching, after.get()))
    }

    /// R: which share of the requests of the time from now on is refused; none until the server is full.
    #[doc = forecast!("(forecast.live_rejection_within(240.0, trellis_model::Seconds::new(60.0).unwrap()).value - 0.76).abs() < 0.01")]
    pub fn live_rejection_within(&self, watching: f64, window: Seconds) -> Range {
        self.range(|draw| draw.live_rejection_within(watching, window.get()))
    }
}

impl Draw {
    fn live_full_in_s(&self, watching: f64) -> f64 {
        let (offered, most) = (self.growth.offered_sessions(), self.viewers_max());
        match () {
            () if watching >= most => 0.0,
            () if offered <= most => f64::INFINITY,
            () => self.length_s * ((offered - watching) / (offered - most)).ln(),
        }
    }

    fn live_viewers(&self, watching: f64, after_s: f64) -> f64 {
        let (offered, stay) = (self.growth.offered_sessions(), (-after_s / self.length_s).exp());
        let free = offered + (watching - offered) * stay;
        // Those who come are Poisson's, those who stay are drawn from who is there.
        let scatter = ((1.0 - stay) * (offered + watching * stay)).sqrt();
        let most = self.viewers_max().max(watching * stay);
        (free + self.luck * scatter).clamp(0.0, most)
    }

    fn live_rejection_within(&self, watching: f64, window_s: f64) -> f64 {
        let full_share = 1.0 - self.live_full_in_s(watching) / window_s;
        let requests = self.growth.offered_sessions() / self.length_s * window_s;
        let luck = (1.0 + self.luck / requests.sqrt()).max(f64::MIN_POSITIVE);
        let refused = 1.0 - self.viewers_max() / (self.growth.offered_sessions() * luck);
        if full_share > 0.0 { full_share * refused.max(0.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Seeded;
    use crate::estimate::{Estimate, Estimates};

    /// λ, β, αf, L; B = 10 Mbit/s.
    fn forecast(values: [f64; 4]) -> Forecast {
        let [arrivals, session_bps, brought_bps, length_s] = values.map(|value| Some(Estimate::known(value)));
        let support_bps = brought_bps;
        let estimates = Estimates { arrivals, session_bps, support_bps, brought_bps, length_s, linger_s: None };
        Forecast::new(Estimate::known(10e6), &estimates).unwrap()
    }

    #[test]
    fn a_cluster_fills_up_and_then_refuses_what_does_not_fit() {
        let (minute, full) = (Seconds::new(60.0).unwrap(), forecast([0.5, 1e6, 0.5e6, 100.0]));
        // a = 50, n_max = 20.
        assert!((full.live_full_in_s(0.0).value - 100.0 * (50.0f64 / 30.0).ln()).abs() < 1e-9);
        assert_eq!((full.live_full_in_s(20.0).value, full.live_guarantee_in_s().value), (0.0, f64::INFINITY));
        assert!((full.live_rejection_within(20.0, minute).value - 0.6).abs() < 1e-9);
        let late = full.live_full_in_s(0.0).value / 60.0;
        assert!((full.live_rejection_within(0.0, minute).value - 0.6 * (1.0 - late)).abs() < 1e-9);
        assert_eq!(full.live_capacity_bps(20.0, minute).value, 20e6);
        assert_eq!(full.live_capacity_bps(30.0, Seconds::new(0.0).unwrap()).value, 25e6, "nobody is thrown out");
        let ample = forecast([0.1, 1e6, 0.5e6, 100.0]);
        assert_eq!((ample.live_full_in_s(3.0).low, ample.live_guarantee_in_s().high), (f64::INFINITY, 0.0));
        assert_eq!(ample.live_rejection_within(3.0, minute).high, 0.0);
        let giving = forecast([0.5, 1e6, 1.5e6, 100.0]);
        assert_eq!(
            (giving.live_full_in_s(9.0).value, giving.live_rejection_within(9.0, minute).value),
            (f64::INFINITY, 0.0)
        );
    }

    #[test]
    fn what_viewers_bring_in_a_minute_lies_in_the_range_as_often_as_is_said() {
        let (mut chance, forecast) = (Seeded::new(4), forecast([0.1, 1e6, 0.5e6, 120.0]));
        let said = forecast.live_capacity_bps(8.0, Seconds::new(60.0).unwrap());
        let mut after_a_minute = || {
            let mut watching = (0..8).filter(|_| chance.exponential() * 120.0 > 60.0).count();
            let mut at = chance.exponential() / 0.1;
            while at < 60.0 {
                watching += usize::from(chance.exponential() * 120.0 > 60.0 - at);
                at += chance.exponential() / 0.1;
            }
            watching as f64
        };
        let hits = (0..400).filter(|_| said.residual(10e6 + 0.5e6 * after_a_minute()).within).count();
        assert!((370..400).contains(&hits), "{hits} of 400");
    }
}
