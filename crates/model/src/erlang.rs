//! How much headroom do fluctuations need? Poisson requests for n slots, whoever finds none goes away (Erlang's loss
//! system; true for any distribution of session lengths with the same mean).

use crate::InputError;

/// E(a, n): which share of requests finds all n slots taken, when `offered` would be taken on average if there were
/// enough. At most [`SLOTS_MAX`] slots.
/// ```
/// use trellis_model::erlang::blocking;
/// assert!((blocking(10.0, 10)? - 0.214582343).abs() < 1e-9);
/// assert_eq!((blocking(10.0, 0)?, blocking(0.0, 0)?), (1.0, 1.0));
/// # Ok::<(), trellis_model::InputError>(())
/// ```
pub fn blocking(offered: f64, slots: u64) -> Result<f64, InputError> {
    let offered = checked(offered)?;
    if slots > SLOTS_MAX {
        return Err(InputError::TooMuch("the slots (n)", SLOTS_MAX));
    }
    Ok((1..=slots).fold(1.0, |blocked, n| next(offered, blocked, n)))
}

/// The smallest n with E(a, n) ≤ `target`, which is above 0.
/// ```
/// use trellis_model::{Share, erlang::slots_for};
/// assert_eq!(slots_for(1000.0, Share::new(1e-3)?)?, 1072);
/// assert!(slots_for(1000.0, Share::new(0.0)?).is_err());
/// # Ok::<(), trellis_model::InputError>(())
/// ```
pub fn slots_for(offered: f64, target: crate::Share) -> Result<u64, InputError> {
    let (offered, target) = (checked(offered)?, target.get());
    if target == 0.0 {
        return Err(InputError::Zero("the share that may be refused"));
    }
    let (mut blocked, mut slots) = (1.0, 0);
    while blocked > target {
        slots += 1;
        blocked = next(offered, blocked, slots);
    }
    Ok(slots)
}

/// What is counted out at most.
pub const SLOTS_MAX: u64 = 100_000_000;

/// E(a, n) from E(a, n − 1).
fn next(offered: f64, blocked: f64, slots: u64) -> f64 {
    offered * blocked / (slots as f64 + offered * blocked)
}

fn checked(offered: f64) -> Result<f64, InputError> {
    match offered {
        a if !a.is_finite() || a < 0.0 => Err(InputError::NotANumber("the offered load (a)")),
        a if a > SLOTS_MAX as f64 => Err(InputError::TooMuch("the offered load (a)", SLOTS_MAX)),
        a => Ok(a),
    }
}
