//! How should a server's bandwidth be split among files? Each file is a cluster of its own: only who has seen a file can
//! support it. (1) requests of file i are Poisson with λ_i, Σλ_i = λ, and its share is B_i.

use crate::{Bps, Growth, InputError, Offer, PerSecond, Seconds, Share};

/// How B is split.
#[derive(Debug, Clone, PartialEq)]
pub enum Split {
    /// (1) B_i = (λ_i/λ)B: the paper's. It has the least greatest t_g, and the least that a request meets on average.
    Proportional,
    /// All the same. It has the least plain average of t_g, which is what (9) averages.
    Equal,
    /// As given: shares of B, one for each file, together at most 1.
    Shares(Vec<Share>),
}

/// A cluster for each file, of the same β, α and L.
/// ```
/// use trellis_model::{Bps, PerSecond, Seconds, files::{Files, Split}};
/// let popular: Result<Vec<_>, _> = (1..=5).map(|i| PerSecond::new(60.0 / 137.0 / f64::from(i))).collect();
/// let [server, session, support] = [Bps::new(100e6)?, Bps::new(500e3)?, Bps::new(250e3)?];
/// let files = Files::new(server, session, support, Seconds::new(3600.0)?, &popular?, &Split::Equal)?;
/// assert!((files.guarantee_intervals_max() - 9.061626).abs() < 1e-6);
/// assert!((files.guarantee_intervals_mean() - 6.700145).abs() < 1e-6);
/// assert!((files.guarantee_intervals_by_request() - 7.569705).abs() < 1e-6);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    growths: Vec<Growth>,
}

impl Files {
    /// B, β, α, L, the λ_i, and how to split. Each λ_i is more than zero: a file that nobody asks for is no cluster.
    /// ```
    /// use trellis_model::{Bps, InputError, Seconds, files::{Files, Split}};
    /// let rate = Bps::new(1e6)?;
    /// let none = Files::new(rate, rate, rate, Seconds::new(60.0)?, &[], &Split::Equal);
    /// assert_eq!(none.unwrap_err().to_string(), "the files must not be empty");
    /// # Ok::<(), InputError>(())
    /// ```
    pub fn new(
        server: Bps,
        session: Bps,
        support: Bps,
        length: Seconds,
        arrivals: &[PerSecond],
        split: &Split,
    ) -> Result<Self, InputError> {
        let shares = shares(arrivals, split)?;
        let file = |(arrivals, share): (&PerSecond, f64)| {
            Growth::new(Offer {
                server: Bps::new(server.get() * share)?,
                session,
                support,
                arrivals: *arrivals,
                length,
            })
        };
        Ok(Self { growths: arrivals.iter().zip(shares).map(file).collect::<Result<_, _>>()? })
    }

    /// Each file's cluster, in the order given.
    /// ```
    /// # use trellis_model::{Bps, PerSecond, Seconds, files::{Files, Split}};
    /// # let (rate, each) = (Bps::new(1e6)?, [PerSecond::new(0.5)?; 2]);
    /// let files = Files::new(rate, rate, rate, Seconds::new(60.0)?, &each, &Split::Proportional)?;
    /// assert_eq!(files.each().len(), 2);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn each(&self) -> &[Growth] {
        &self.growths
    }

    /// max t_g,i: when all files are served, in intervals.
    /// ```
    /// # use trellis_model::{Bps, PerSecond, Seconds, files::{Files, Split}};
    /// # let (rate, each) = (Bps::new(1e6)?, [PerSecond::new(0.5)?; 2]);
    /// let files = Files::new(rate, rate, rate, Seconds::new(64.0)?, &each, &Split::Proportional)?;
    /// assert_eq!(files.guarantee_intervals_max(), 6.0); // 2^6 times half the server is what each asks for.
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn guarantee_intervals_max(&self) -> f64 {
        self.growths.iter().map(Growth::guarantee_intervals).fold(0.0, f64::max)
    }

    /// (9) t_g = Σ t_g,i/F: the average over files, in intervals.
    /// ```
    /// # use trellis_model::{Bps, PerSecond, Seconds, files::{Files, Split}};
    /// # let (rate, each) = (Bps::new(1e6)?, [PerSecond::new(0.5)?; 2]);
    /// let files = Files::new(rate, rate, rate, Seconds::new(64.0)?, &each, &Split::Proportional)?;
    /// assert_eq!(files.guarantee_intervals_mean(), 6.0);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn guarantee_intervals_mean(&self) -> f64 {
        self.growths.iter().map(Growth::guarantee_intervals).sum::<f64>() / self.growths.len() as f64
    }

    /// Σ λ_i t_g,i/λ: what a request meets on average, in intervals.
    /// ```
    /// # use trellis_model::{Bps, PerSecond, Seconds, files::{Files, Split}};
    /// # let (rate, each) = (Bps::new(1e6)?, [PerSecond::new(0.5)?; 2]);
    /// let files = Files::new(rate, rate, rate, Seconds::new(64.0)?, &each, &Split::Proportional)?;
    /// assert_eq!(files.guarantee_intervals_by_request(), 6.0);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn guarantee_intervals_by_request(&self) -> f64 {
        let weighted = |growth: &Growth| growth.arrivals_per_s * growth.guarantee_intervals();
        let all: f64 = self.growths.iter().map(|growth| growth.arrivals_per_s).sum();
        self.growths.iter().map(weighted).sum::<f64>() / all
    }
}

/// B_i/B.
fn shares(arrivals: &[PerSecond], split: &Split) -> Result<Vec<f64>, InputError> {
    if arrivals.is_empty() {
        return Err(InputError::Empty("the files"));
    }
    let all: f64 = arrivals.iter().map(|arrivals| arrivals.get()).sum();
    match split {
        Split::Proportional => {
            Ok(arrivals.iter().map(|arrivals| arrivals.get() / all.max(f64::MIN_POSITIVE)).collect())
        }
        Split::Equal => Ok(vec![1.0 / arrivals.len() as f64; arrivals.len()]),
        Split::Shares(shares) if shares.len() != arrivals.len() => {
            Err(InputError::Order("the shares", "as many as the files"))
        }
        Split::Shares(shares) if shares.iter().map(|share| share.get()).sum::<f64>() > 1.0 + 1e-9 => {
            Err(InputError::OverOne("the sum of the shares"))
        }
        Split::Shares(shares) => Ok(shares.iter().map(|share| share.get()).collect()),
    }
}
