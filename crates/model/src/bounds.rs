//! How fast can a live stream be, and what must the server send? Bounds on flows that no system beats (Kumar, Liu and
//! Ross, 2007).

use crate::{Bps, InputError, Share};

/// r_max = min{u_s, (u_s + Σu)/n}: the highest rate that all n peers, the `uploads`, can receive; bit/s. The server alone
/// is the limit of what is new; all uploads together are the limit of what is received. Without peers u_s.
/// ```
/// use trellis_model::{Bps, bounds::rate_bps_max};
/// let peers = [Bps::new(1e6)?; 4];
/// assert_eq!(rate_bps_max(Bps::new(10e6)?, &peers), 3.5e6);
/// assert_eq!(rate_bps_max(Bps::new(1e6)?, &peers), 1e6);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
pub fn rate_bps_max(server: Bps, uploads: &[Bps]) -> f64 {
    let sum: f64 = uploads.iter().map(|upload| upload.get()).sum();
    server.get().min((server.get() + sum) / uploads.len().max(1) as f64)
}

/// The same when nobody receives more than it can: r ≤ the smallest of `downloads`; bit/s.
/// ```
/// use trellis_model::{Bps, bounds::rate_bps_max_with_downloads};
/// let (peers, downloads) = ([Bps::new(1e6)?; 4], [Bps::new(3e6)?, Bps::new(8e6)?]);
/// assert_eq!(rate_bps_max_with_downloads(Bps::new(10e6)?, &peers, &downloads), 3e6);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
pub fn rate_bps_max_with_downloads(server: Bps, uploads: &[Bps], downloads: &[Bps]) -> f64 {
    downloads.iter().map(|download| download.get()).fold(rate_bps_max(server, uploads), f64::min)
}

/// Who sends what so that n peers all receive one stream: part of it goes through a peer, which passes it on to the n − 1
/// others, and the rest comes from the server n times. It shows that [`rate_bps_max`] can be reached, in two hops; but every
/// peer then needs a connection to every other.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// s_i: what goes through peer i, bit/s.
    pub through_bps: Vec<f64>,
    /// r − Σ s_i: what the server sends to each of them, bit/s.
    pub broadcast_bps: f64,
}

impl Schedule {
    /// s_i = (u_i/Σu)r if peers can carry it all, Σu ≥ (n − 1)r; else all they can, s_i = u_i/(n − 1).
    /// ```
    /// use trellis_model::{Bps, bounds::Schedule};
    /// let schedule = Schedule::new(Bps::new(3.5e6)?, &[Bps::new(1e6)?; 4]);
    /// assert!((schedule.through_bps[0] * 3.0 - 1e6).abs() < 1e-3);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn new(rate: Bps, uploads: &[Bps]) -> Self {
        let others = uploads.len().saturating_sub(1) as f64;
        let sum: f64 = uploads.iter().map(|upload| upload.get()).sum();
        let share = if sum > others * rate.get() { rate.get() / sum } else { 1.0 / others };
        // One peer that sends nothing: 0 of 0.
        let share = if share.is_finite() { share } else { 0.0 };
        let through_bps: Vec<f64> = uploads.iter().map(|upload| upload.get() * share).collect();
        let broadcast_bps = (rate.get() - through_bps.iter().sum::<f64>()).max(0.0);
        Self { through_bps, broadcast_bps }
    }

    /// What the server sends, bit/s.
    /// ```
    /// use trellis_model::{Bps, bounds::Schedule};
    /// let schedule = Schedule::new(Bps::new(3.5e6)?, &[Bps::new(1e6)?; 4]);
    /// assert!((schedule.server_bps() - 10e6).abs() < 1e-3);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn server_bps(&self) -> f64 {
        self.through_bps.iter().sum::<f64>() + self.through_bps.len() as f64 * self.broadcast_bps
    }
}

/// What a system loses against the ideal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Losses {
    /// η: which share of peers' upload can be put to use.
    pub utilization: Share,
    /// h: what is sent beside the media, as a share of it.
    pub overhead: Share,
}

impl Losses {
    /// None: the bound itself.
    /// ```
    /// assert_eq!(trellis_model::bounds::Losses::none().utilization.get(), 1.0);
    /// ```
    pub fn none() -> Self {
        Self { utilization: Share::ALL, overhead: Share::default() }
    }
}

/// u_s ≥ max{r(1 + h), n·r(1 + h) − ηΣu}: the least a server must send so that `peers` all receive `rate`, when their
/// uploads sum to `uploads`; bit/s. With nobody there, 0.
/// ```
/// use trellis_model::{Bps, bounds::{Losses, server_bps_min}, Share};
/// let (rate, uploads) = (Bps::new(2.5e6)?, Bps::new(2e9)?);
/// assert_eq!(server_bps_min(rate, 1000, uploads, Losses::none()), 0.5e9);
/// let real = Losses { utilization: Share::new(0.95)?, overhead: Share::new(0.03)? };
/// assert!((server_bps_min(rate, 1000, uploads, real) - 0.675e9).abs() < 1.0);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
pub fn server_bps_min(rate: Bps, peers: u32, uploads: Bps, losses: Losses) -> f64 {
    if peers == 0 {
        return 0.0;
    }
    let each = rate.get() * (1.0 + losses.overhead.get());
    each.max(f64::from(peers) * each - losses.utilization.get() * uploads.get())
}

/// How near a system comes to [`rate_bps_max`]: 1 is as near as can be.
/// ```
/// use trellis_model::{Bps, bounds::efficiency};
/// assert_eq!(efficiency(Bps::new(3.15e6)?, Bps::new(10e6)?, &[Bps::new(1e6)?; 4])?, 0.9);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
pub fn efficiency(rate: Bps, server: Bps, uploads: &[Bps]) -> Result<f64, InputError> {
    Ok(rate.get() / Bps::new(rate_bps_max(server, uploads))?.positive("the greatest rate")?)
}
