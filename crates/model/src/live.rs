//! How many viewers can a live cluster admit, and how soon? Here a viewer supports while it watches: it takes β from the
//! start, gives α from the age w on (its warm-up), and nothing after it has left.

use crate::{Bps, InputError, Seconds};

/// How long viewers stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stay {
    /// Exponentially distributed, with this mean.
    Exponential(Seconds),
    /// All just as long.
    Fixed(Seconds),
}

/// A live cluster.
/// ```
/// use trellis_model::{Bps, Live, Seconds, Stay};
/// let live = Live::new(Bps::new(100e6)?, Bps::new(1e6)?, Bps::new(0.8e6)?)?;
/// let stay = Stay::Exponential(Seconds::new(600.0)?);
/// assert!((live.viewers_max(Seconds::new(6.0)?, stay)? - 480.861).abs() < 1e-3);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Live {
    server_bps: f64,
    viewer_bps: f64,
    support_bps: f64,
}

impl Live {
    /// B, β (not zero) and α.
    /// ```
    /// use trellis_model::{Bps, InputError, Live};
    /// assert_eq!(Live::new(Bps::new(1.0)?, Bps::new(0.0)?, Bps::new(1.0)?), Err(InputError::Zero("the viewer's bandwidth (β)")));
    /// # Ok::<(), InputError>(())
    /// ```
    pub fn new(server: Bps, viewer: Bps, support: Bps) -> Result<Self, InputError> {
        Ok(Self {
            server_bps: server.get(),
            viewer_bps: viewer.positive("the viewer's bandwidth (β)")?,
            support_bps: support.get(),
        })
    }

    /// n_max = B/(β − αf): how many viewers there can be for good, f of them past their warm-up; ∞ when they bring as
    /// much as they take. Without warm-up this is the bound of [`crate::bounds::server_bps_min`].
    /// ```
    /// use trellis_model::{Bps, Live, Seconds, Stay};
    /// let live = Live::new(Bps::new(100.0)?, Bps::new(1.0)?, Bps::new(0.5)?)?;
    /// assert_eq!(live.viewers_max(Seconds::new(0.0)?, Stay::Fixed(Seconds::new(60.0)?))?, 200.0);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn viewers_max(&self, warm_up: Seconds, stay: Stay) -> Result<f64, InputError> {
        let short = self.viewer_bps - self.support_bps * warm_share(warm_up, stay)?;
        Ok(if short > 0.0 { self.server_bps / short } else { f64::INFINITY })
    }

    /// n(k) = (B/β)(q^k − 1)/(q − 1), q = α/β: viewers after k warm-ups while nobody leaves; kB/β when q = 1.
    /// ```
    /// use trellis_model::{Bps, Live};
    /// let live = Live::new(Bps::new(100.0)?, Bps::new(1.0)?, Bps::new(1.5)?)?;
    /// assert_eq!(live.viewers_after(5.0), 1318.75);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn viewers_after(&self, warm_ups: f64) -> f64 {
        let (k, q) = (warm_ups.max(0.0), self.ratio());
        let terms = if q == 1.0 { k } else { (q.powf(k) - 1.0) / (q - 1.0) };
        self.server_bps / self.viewer_bps * terms
    }

    /// k(n) = lg(1 + nβ(q − 1)/B)/lg q: after how many warm-ups there can be n viewers; ∞ if never.
    /// ```
    /// use trellis_model::{Bps, Live};
    /// let live = Live::new(Bps::new(100.0)?, Bps::new(1.0)?, Bps::new(0.8)?)?;
    /// assert!((live.warm_ups_until(400.0) - 7.212567439).abs() < 1e-9);
    /// assert_eq!(live.warm_ups_until(600.0), f64::INFINITY);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn warm_ups_until(&self, viewers: f64) -> f64 {
        let (n, q) = (viewers.max(0.0), self.ratio());
        let first = n * self.viewer_bps / self.server_bps;
        let reached = 1.0 + first * (q - 1.0);
        match q {
            _ if n == 0.0 => 0.0,
            _ if self.server_bps == 0.0 => f64::INFINITY,
            1.0 => first,
            // Nobody gives: whom the server has room for it serves at once.
            0.0 => {
                if first <= 1.0 {
                    0.0
                } else {
                    f64::INFINITY
                }
            }
            _ if reached <= 0.0 => f64::INFINITY,
            _ => reached.ln() / q.ln(),
        }
    }

    fn ratio(&self) -> f64 {
        self.support_bps / self.viewer_bps
    }
}

/// f: which share of the viewers is past its warm-up.
fn warm_share(warm_up: Seconds, stay: Stay) -> Result<f64, InputError> {
    Ok(match stay {
        Stay::Exponential(mean) => (-warm_up.get() / mean.positive("the mean stay")?).exp(),
        Stay::Fixed(length) => (1.0 - warm_up.get() / length.positive("the stay")?).max(0.0),
    })
}
