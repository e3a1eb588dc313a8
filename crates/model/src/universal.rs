//! How probable is it that everybody gets the whole live stream, when viewers come and go? Two kinds of viewers, one that
//! gives more than it takes, u_1 > r, and one that gives less, u_2 < r, Poisson many of each. All are served if and only if
//! u_s + L_1(u_1 − r) ≥ L_2(r − u_2) (Kumar, Liu and Ross 2007; and r ≤ u_s, which is not looked at here).

use crate::{Bps, InputError};

/// The two kinds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Audience {
    /// u_s.
    pub server: Bps,
    /// r.
    pub rate: Bps,
    /// u_1, above r.
    pub strong: Bps,
    /// u_2, below r.
    pub weak: Bps,
    /// ρ_1: how many strong ones there are on average; at most [`POPULATION_MAX`].
    pub strong_mean: f64,
    /// ρ_2: how many weak ones there are on average; at most [`POPULATION_MAX`].
    pub weak_mean: f64,
}

/// How probable it is that all are served.
/// ```
/// use trellis_model::{Bps, universal::{Audience, Universal}};
/// let audience = Audience {
///     server: Bps::new(50.0)?, rate: Bps::new(4.0)?, strong: Bps::new(7.0)?, weak: Bps::new(1.0)?,
///     strong_mean: 100.0, weak_mean: 100.0,
/// };
/// let universal = Universal::new(audience)?;
/// assert!((universal.probability() - 0.878469).abs() < 1e-6);
/// assert!((universal.probability_gauss() - 0.880704).abs() < 1e-6);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Universal {
    server: f64,
    /// u_1 − r and r − u_2.
    surplus: f64,
    deficit: f64,
    strong_mean: f64,
    weak_mean: f64,
}

/// A statement about an audience.
macro_rules! audience {
    ($statement:literal) => {
        concat!(
            "```\n# use trellis_model::{Bps, universal::{Audience, Universal}};\n",
            "# let (server, rate) = (Bps::new(0.0)?, Bps::new(4.0)?);\n",
            "# let (strong, weak) = (Bps::new(7.0)?, Bps::new(1.0)?);\n",
            "# let audience = Audience { server, rate, strong, weak, strong_mean: 110.0, weak_mean: 100.0 };\n",
            "# let universal = Universal::new(audience)?;\nassert!(",
            $statement,
            ");\n# Ok::<(), trellis_model::InputError>(())\n```"
        )
    };
}

impl Universal {
    /// Checks that u_1 > r > u_2 and that the means can be counted out.
    #[doc = audience!("Universal::new(Audience { strong: rate, ..audience }).is_err()")]
    pub fn new(audience: Audience) -> Result<Self, InputError> {
        let [rate, strong, weak] = [audience.rate, audience.strong, audience.weak].map(Bps::get);
        match audience {
            _ if strong <= rate => Err(InputError::Order("the strong viewers' upload (u_1)", "above the rate (r)")),
            _ if weak >= rate => Err(InputError::Order("the weak viewers' upload (u_2)", "below the rate (r)")),
            _ => Ok(Self {
                server: audience.server.get(),
                surplus: strong - rate,
                deficit: rate - weak,
                strong_mean: population(audience.strong_mean, "the mean of strong viewers (ρ_1)")?,
                weak_mean: population(audience.weak_mean, "the mean of weak viewers (ρ_2)")?,
            }),
        }
    }

    /// Exactly, by Poisson sums.
    #[doc = audience!("(universal.probability() - 0.765715).abs() < 1e-6")]
    pub fn probability(&self) -> f64 {
        let (first, strong) = poisson(self.strong_mean);
        let (weak_first, weak) = poisson(self.weak_mean);
        let mut below = 0.0;
        let mut weak = weak.iter().zip(weak_first..).peekable();
        let mut all = 0.0;
        // With every strong viewer more, more weak ones are carried: both lists are walked once.
        for (probability, count) in strong.iter().zip(first..) {
            let carried = (self.server + count as f64 * self.surplus) / self.deficit + 1e-9;
            while let Some((more, _)) = weak.next_if(|(_, count)| *count as f64 <= carried) {
                below += more;
            }
            all += probability * below;
        }
        // Both sums are of rounded terms.
        all.min(1.0)
    }

    /// Φ(m/√v), m = u_s + ρ_1(u_1 − r) − ρ_2(r − u_2), v = ρ_1(u_1 − r)² + ρ_2(r − u_2)²: by a bell curve.
    #[doc = audience!("(universal.probability_gauss() - 0.754924).abs() < 1e-6")]
    pub fn probability_gauss(&self) -> f64 {
        let mean = self.server + self.strong_mean * self.surplus - self.weak_mean * self.deficit;
        let variance = self.strong_mean * self.surplus.powi(2) + self.weak_mean * self.deficit.powi(2);
        match variance {
            0.0 => f64::from(u8::from(mean >= 0.0)),
            _ => libm::erfc(-mean / (2.0 * variance).sqrt()) / 2.0,
        }
    }

    /// ρ_1/ρ_2 = (r − u_2)/(u_1 − r): with more strong ones than this per weak one, a larger audience is better served;
    /// with fewer, worse.
    #[doc = audience!("universal.critical_ratio() == 1.0")]
    pub fn critical_ratio(&self) -> f64 {
        self.deficit / self.surplus
    }
}

/// What is counted out at most.
pub const POPULATION_MAX: u64 = 1_000_000_000;

fn population(mean: f64, parameter: &'static str) -> Result<f64, InputError> {
    match mean {
        m if !m.is_finite() || m < 0.0 => Err(InputError::NotANumber(parameter)),
        m if m > POPULATION_MAX as f64 => Err(InputError::TooMuch(parameter, POPULATION_MAX)),
        m => Ok(m),
    }
}

/// The Poisson distribution where there is any of it, from which count on. Outwards from the likeliest and then made to
/// sum to 1: nothing underflows.
fn poisson(mean: f64) -> (u64, Vec<f64>) {
    let (mode, reach) = (mean.floor(), 12.0 * mean.sqrt() + 40.0);
    let (first, last) = ((mode - reach).max(0.0) as u64, (mode + reach) as u64);
    let mut weights = vec![1.0; (last - first + 1) as usize];
    let middle = (mode as u64 - first) as usize;
    for at in middle + 1..weights.len() {
        weights[at] = weights[at - 1] * mean / (first + at as u64) as f64;
    }
    for at in (0..middle).rev() {
        weights[at] = weights[at + 1] * (first + at as u64 + 1) as f64 / mean;
    }
    let sum: f64 = weights.iter().sum();
    (first, weights.into_iter().map(|weight| weight / sum).collect())
}
