//! When is a server full, if arrivals change with time? Each session takes β for L, so what runs at τ is what came in the
//! L before it.

use crate::{Bps, InputError, PerSecond, Seconds};

/// From `at` on, until the next step, so many arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Since when.
    pub at: Seconds,
    /// λ from then on.
    pub arrivals: PerSecond,
}

/// t_0 for a λ that changes: the smallest τ with ∫ λ from τ − L to τ = B/β, in seconds; ∞ if there is none. `steps` are in
/// the order of time; before the first nobody comes.
/// ```
/// use trellis_model::{Bps, PerSecond, Seconds, saturation::{Step, full_at_s}};
/// let step = |at, per_s| Ok(Step { at: Seconds::new(at)?, arrivals: PerSecond::new(per_s)? });
/// let (server, session, length) = (Bps::new(90e6)?, Bps::new(1e6)?, Seconds::new(100.0)?);
/// let rising = [step(0.0, 0.5)?, step(100.0, 1.5)?];
/// assert_eq!(full_at_s(server, session, length, &rising)?, 140.0); // 50 run at 100 s, and one more each second.
/// assert_eq!(full_at_s(server, session, length, &rising[..1])?, f64::INFINITY);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
pub fn full_at_s(server: Bps, session: Bps, length: Seconds, steps: &[Step]) -> Result<f64, InputError> {
    let room = server.get() / session.positive("the session's bandwidth (β)")?;
    let length = length.positive("the session's length (L)")?;
    if steps.is_sorted_by_key(|step| step.at.get()) {
        Ok(crossing(&corners(steps, length), room))
    } else {
        Err(InputError::Order("the steps", "in the order of time"))
    }
}

/// At which times the slope of what runs changes, and by what: up by a step, down by the same step L later.
fn corners(steps: &[Step], length: f64) -> Vec<(f64, f64)> {
    let mut before = 0.0;
    let mut corners = Vec::new();
    for step in steps {
        let change = step.arrivals.get() - before;
        before = step.arrivals.get();
        corners.extend([(step.at.get(), change), (step.at.get() + length, -change)]);
    }
    corners.sort_by(|a, b| a.0.total_cmp(&b.0));
    corners
}

/// When the line through these corners comes to `room`.
fn crossing(corners: &[(f64, f64)], room: f64) -> f64 {
    let (mut now, mut running, mut slope) = (0.0, 0.0, 0.0);
    for (at, change) in corners {
        let then = running + slope * (at - now);
        if then >= room {
            break;
        }
        (now, running, slope) = (*at, then, slope + change);
    }
    // After the last corner the slope is what rounding left of 0.
    let last = corners.last().is_none_or(|last| now >= last.0);
    match room - running {
        missing if missing <= 0.0 => now,
        missing if slope > 0.0 && !last => now + missing / slope,
        _ => f64::INFINITY,
    }
}
