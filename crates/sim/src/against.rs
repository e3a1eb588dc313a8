//! Does a cluster grow as the analytical model says? Counts who asked and who was sent away in each interval of one
//! session, and sets beside it what the closed form says for the same B, α, β, λ and L.
//!
//! Invariant: only whole intervals are compared.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use trellis_model::{Bps, Growth, InputError, Offer, PerSecond, Seconds};

use crate::scenario::{Arrivals, Model, Scenario};
use crate::world::Sample;

/// A run beside the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// K: the first interval in which nobody is sent away, by the model.
    pub first_full_interval: Option<u32>,
    /// When somebody was sent away for the first time, in intervals; by the model, t_0.
    pub first_refusal_intervals: Option<f64>,
    /// When somebody was sent away for the last time, in intervals.
    pub last_refusal_intervals: Option<f64>,
    /// Each whole interval.
    pub intervals: Vec<Interval>,
}

/// One interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Who asked to be let in.
    pub asked: u32,
    /// Who was sent away.
    pub refused: u32,
    /// R_k: sent away / asked.
    pub rejected: f64,
    /// That by the model.
    pub model_rejected: f64,
    /// S_k: who supports at its end.
    pub supporters: u32,
    /// That by the model.
    pub model_supporters: f64,
}

/// What the model is told of a scenario's cluster.
pub fn offer(scenario: &Scenario, model: &Model) -> Result<Offer, InputError> {
    let mean_s = match scenario.viewers.arrivals {
        Arrivals::Poisson { mean_s } => mean_s,
        _ => 0.0,
    };
    Ok(Offer {
        server: Bps::new(model.server_bps)?,
        session: Bps::new(scenario.rate_bps() as f64)?,
        support: Bps::new(model.support_bps)?,
        arrivals: PerSecond::new(if mean_s > 0.0 { 1.0 / mean_s } else { 0.0 })?,
        length: Seconds::new(model.interval_s)?,
    })
}

/// The closed form of a scenario's cluster.
pub fn growth(scenario: &Scenario, model: &Model) -> Result<Growth, InputError> {
    Growth::new(offer(scenario, model)?)
}

impl Against {
    /// Of a run's samples, one a second.
    pub fn new(scenario: &Scenario, model: &Model, samples: &[Sample]) -> Result<Self, InputError> {
        let growth = growth(scenario, model)?;
        let of = |sample: &Sample| ((sample.at_s - 0.5) / model.interval_s) as usize;
        let whole = (scenario.duration_s / model.interval_s) as usize;
        let interval = |(k, fluid): (usize, trellis_model::Interval)| {
            let here = || samples.iter().filter(|sample| of(sample) == k);
            let (asked, refused) = here().fold((0, 0), |(a, r), it| (a + it.asked, r + it.refused));
            Interval {
                asked,
                refused,
                rejected: f64::from(refused) / f64::from(asked.max(1)),
                model_rejected: fluid.rejected,
                supporters: here().next_back().map_or(0, |it| it.supporters),
                model_supporters: fluid.supporters,
            }
        };
        let refusals = || samples.iter().filter(|it| it.refused > 0).map(|it| it.at_s / model.interval_s);
        Ok(Self {
            first_full_interval: growth.first_full_interval(),
            first_refusal_intervals: refusals().next(),
            last_refusal_intervals: refusals().next_back(),
            intervals: growth.intervals().enumerate().take(whole).map(interval).collect(),
        })
    }

    /// The most by which any interval's share of those sent away differs from the model's.
    pub fn residual(&self) -> Option<f64> {
        let off = self.intervals.iter().filter(|it| it.asked > 0).map(|it| (it.rejected - it.model_rejected).abs());
        off.max_by(f64::total_cmp)
    }

    /// By how many intervals the last refusal differs from K; None: the run is over before K.
    pub fn last_refusal_off(&self) -> Option<f64> {
        let full = self.first_full_interval.filter(|full| *full as usize <= self.intervals.len())?;
        Some((self.last_refusal_intervals.unwrap_or(0.0) - f64::from(full)).abs())
    }

    /// To be read in a terminal.
    pub fn table(&self) -> String {
        let mut text = String::from("  interval   asked  refused    R_k  model  residual  supporters  model\n");
        for (k, it) in self.intervals.iter().enumerate() {
            let _ = writeln!(
                text,
                "  {k:>8} {:>7} {:>8} {:>6.3} {:>6.3} {:>+9.3} {:>11} {:>6.0}",
                it.asked,
                it.refused,
                it.rejected,
                it.model_rejected,
                it.rejected - it.model_rejected,
                it.supporters,
                it.model_supporters
            );
        }
        let last = self.last_refusal_intervals.map_or("never".into(), |at| format!("at {at:.3}"));
        let full = self.first_full_interval.map_or("–".into(), |full| full.to_string());
        let _ = writeln!(text, "  {:<22} {last} intervals; K = {full}", "last sent away");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_set_beside_the_model_interval_by_interval() {
        let text = "duration_s = 30\n[[stream.rendition]]\nbps = 1_000_000\n[viewers]
            arrivals = { kind = \"poisson\", mean_s = 0.1 }
            [model]\nserver_bps = 25e6\nsupport_bps = 1e6\ninterval_s = 10";
        let scenario = Scenario::parse(text).unwrap();
        let second = |at: u32| Sample {
            at_s: f64::from(at),
            asked: 10,
            refused: if at <= 10 { 7 } else { 5 * u32::from(at <= 21) },
            supporters: at,
            ..Sample::default()
        };
        let samples: Vec<_> = (1..=30).map(second).collect();
        let against = Against::new(&scenario, &scenario.model.unwrap(), &samples).unwrap();
        let shares: Vec<_> =
            against.intervals.iter().map(|it| (it.refused, it.model_rejected, it.supporters)).collect();
        assert_eq!(shares, [(70, 0.75, 10), (50, 0.5, 20), (5, 0.0, 30)]);
        assert!((against.residual().unwrap() - 0.05).abs() < 1e-9);
        assert_eq!((against.first_full_interval, against.last_refusal_intervals), (Some(2), Some(2.1)));
        assert_eq!(against.first_refusal_intervals, Some(0.1));
        assert!((against.last_refusal_off().unwrap() - 0.1).abs() < 1e-9);
        let short = Against { intervals: against.intervals[..1].to_vec(), ..against };
        assert_eq!(short.last_refusal_off(), None, "K is 2");
        let text = text.replace("poisson\", mean_s", "ramp\", over_s");
        assert!(Scenario::parse(&text).unwrap_err().to_string().contains("poisson"));
    }
}
