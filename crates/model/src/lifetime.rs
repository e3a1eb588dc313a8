//! How long does something last on average, when some of it is not over yet? The counters of [`crate::estimate`] answer
//! that for lengths like the exponential; this, from the single lengths, for any, and while their number grows. Otherwise
//! a cluster that doubles in each session's length would seem to have sessions three times as long as they are.

use crate::Seconds;
use crate::estimate::Estimate;

/// One that was watched from its beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lifetime {
    /// How long it lasted, or lasts already.
    pub lasted: Seconds,
    /// Whether it is over.
    pub over: bool,
}

/// The mean of Kaplan and Meier, s, with Greenwood's error; None while none is over. What lasts longer than all that are over
/// is taken to end as often as those did before it (Brown, Hollander and Korwar). Give it all that *began* within one
/// stretch of time, over or not: to choose by the end would choose the long ones.
/// ```
/// use trellis_model::{Seconds, lifetime::{Lifetime, mean}};
/// let lasted = |s, over| Ok(Lifetime { lasted: Seconds::new(s)?, over });
/// // Two saw it all, the others came later.
/// let sessions = [lasted(60.0, true)?, lasted(60.0, true)?, lasted(50.0, false)?, lasted(5.0, false)?];
/// assert_eq!(mean(&sessions).map(|length| (length.value, length.error)), Some((60.0, 0.0)));
/// assert_eq!(mean(&sessions[2..]), None);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
pub fn mean(lifetimes: &[Lifetime]) -> Option<Estimate> {
    let over = lifetimes.iter().filter(|lifetime| lifetime.over).count();
    if over == 0 {
        return None;
    }
    let steps = survival(lifetimes);
    let (last, left) = steps.last().map_or((0.0, 1.0), |step| (step.at, step.left));
    let longest = lifetimes.iter().map(|lifetime| lifetime.lasted.get()).fold(last, f64::max);
    // S falls from the last end on as it did, on average, up to the longest.
    let tail = if left > 0.0 { left * (longest - last + longest / -left.ln()) } else { 0.0 };
    // Backwards: how much of the mean lies behind each end, and what its own chance does to that.
    let (mut behind, mut variance) = (tail, 0.0);
    for (at, step) in steps.iter().enumerate().rev() {
        let (ended, at_risk) = (step.ended as f64, step.at_risk as f64);
        if step.at_risk > step.ended {
            variance += behind.powi(2) * ended / (at_risk * (at_risk - ended));
        }
        let (before, left_before) = if at == 0 { (0.0, 1.0) } else { (steps[at - 1].at, steps[at - 1].left) };
        behind += left_before * (step.at - before);
    }
    // The tail's slope errs in the same direction as what led to it.
    Some(Estimate { value: behind, error: variance.sqrt() + tail / (over as f64).sqrt() })
}

/// Some ended at this length.
struct Step {
    at: f64,
    ended: usize,
    /// How many lasted as long, those included.
    at_risk: usize,
    /// S: which share of all lasts longer.
    left: f64,
}

fn survival(lifetimes: &[Lifetime]) -> Vec<Step> {
    let mut sorted: Vec<(f64, bool)> =
        lifetimes.iter().map(|lifetime| (lifetime.lasted.get(), lifetime.over)).collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut left, mut steps, mut at_risk) = (1.0, Vec::new(), sorted.len());
    for same in sorted.chunk_by(|a, b| a.0 == b.0) {
        let ended = same.iter().filter(|(_, over)| *over).count();
        if ended > 0 {
            left *= (at_risk - ended) as f64 / at_risk as f64;
            steps.push(Step { at: same[0].0, ended, at_risk, left });
        }
        at_risk -= same.len();
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Seeded;

    /// Sessions that came evenly in the last `window` s.
    fn seen(seed: u64, window: f64, length: impl Fn(&mut Seeded) -> f64) -> Vec<Lifetime> {
        let mut chance = Seeded::new(seed);
        let mut session = || {
            let (age, length) = (chance.uniform() * window, length(&mut chance));
            Lifetime { lasted: Seconds::new(age.min(length)).unwrap(), over: length <= age }
        };
        (0..300).map(|_| session()).collect()
    }

    #[test]
    fn the_truth_lies_in_the_range_as_often_as_is_said() {
        for (window, at_least) in [(120.0, 180), (20.0, 170)] {
            let within = |seed: &u64| {
                let (low, high) = mean(&seen(*seed, window, |chance| 30.0 * chance.exponential())).unwrap().range_95();
                low <= 30.0 && 30.0 <= high
            };
            let hits = (0..200).filter(within).count();
            assert!((at_least..200).contains(&hits), "{hits} of 200 in {window} s");
        }
        let fixed = mean(&seen(1, 32.0, |_| 30.0)).unwrap();
        assert!((fixed.value - 30.0).abs() < 0.1, "{fixed:?}");
        let two = mean(&seen(1, 300.0, |chance| if chance.below(2) == 0 { 10.0 } else { 50.0 })).unwrap();
        assert!((two.value - 30.0).abs() < 2.0 * two.error, "{two:?}");
    }
}
