//! What becomes of several clusters, each with a server of its own? Without redirection (step 6 of the paper) each follows
//! its own growth; with it, all together follow that of one cluster with the sums of their bandwidths and requests.
//! Redirection helps the whole and the poor, and costs the rich: its own refusals rise to the common share. A cluster that
//! nobody asks (λ_i = 0) has no growth of its own; with redirection its server helps the others.

use crate::{Bps, Fluid, Growth, InputError, Offer, PerSecond, Seconds};

/// What one cluster brings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Site {
    /// B_i.
    pub server: Bps,
    /// λ_i.
    pub arrivals: PerSecond,
}

/// Clusters of the same β, α and L.
/// ```
/// use trellis_model::{Bps, PerSecond, Seconds, clusters::{Clusters, Site}};
/// let poor = Site { server: Bps::new(5e6)?, arrivals: PerSecond::new(0.8)? };
/// let rich = Site { server: Bps::new(35e6)?, arrivals: PerSecond::new(0.2)? };
/// let clusters = Clusters::new(&[poor, rich], Bps::new(1e6)?, Bps::new(0.5e6)?, Seconds::new(2000.0)?)?;
/// assert_eq!(clusters.together().first_full_interval(), Some(10));
/// assert_eq!(clusters.apart()[0].and_then(|poor| poor.first_full_interval()), Some(15));
/// # Ok::<(), trellis_model::InputError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    apart: Vec<Option<Growth>>,
    together: Growth,
}

impl Clusters {
    /// At least one, and requests at one of them; β, α, L are of all.
    /// ```
    /// use trellis_model::{Bps, Seconds, clusters::Clusters};
    /// let rate = Bps::new(1e6)?;
    /// assert!(Clusters::new(&[], rate, rate, Seconds::new(60.0)?).is_err());
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn new(sites: &[Site], session: Bps, support: Bps, length: Seconds) -> Result<Self, InputError> {
        if sites.is_empty() {
            return Err(InputError::Empty("the clusters"));
        }
        let growth = |server, arrivals| Growth::new(Offer { server, session, support, arrivals, length });
        let server = Bps::new(sites.iter().map(|site| site.server.get()).sum())?;
        let arrivals = PerSecond::new(sites.iter().map(|site| site.arrivals.get()).sum())?;
        Ok(Self {
            apart: sites
                .iter()
                .map(|site| (site.arrivals.get() > 0.0).then(|| growth(site.server, site.arrivals)).transpose())
                .collect::<Result<_, _>>()?,
            together: growth(server, arrivals)?,
        })
    }

    /// Each, left to itself; None: nobody asks there.
    /// ```
    /// # use trellis_model::{Bps, PerSecond, Seconds, clusters::{Clusters, Site}};
    /// # let (rate, length) = (Bps::new(1e6)?, Seconds::new(60.0)?);
    /// # let site = Site { server: rate, arrivals: PerSecond::new(1.0)? };
    /// let clusters = Clusters::new(&[site, site], rate, rate, length)?;
    /// assert_eq!(clusters.apart()[0], clusters.apart()[1]);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn apart(&self) -> &[Option<Growth>] {
        &self.apart
    }

    /// All, with redirection.
    /// ```
    /// # use trellis_model::{Bps, PerSecond, Seconds, clusters::{Clusters, Site}};
    /// # let (rate, length) = (Bps::new(1e6)?, Seconds::new(60.0)?);
    /// # let site = Site { server: rate, arrivals: PerSecond::new(1.0)? };
    /// let clusters = Clusters::new(&[site, site], rate, rate, length)?;
    /// assert_eq!(clusters.together().demand_bps(), 120e6);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn together(&self) -> Growth {
        self.together
    }

    /// R_k of all requests together, interval by interval without end, when each cluster is left to itself: Σ λ_i R_i,k/λ.
    /// With redirection it is [`Self::together`]'s.
    /// ```
    /// # use trellis_model::{Bps, PerSecond, Seconds, clusters::{Clusters, Site}};
    /// # let poor = Site { server: Bps::new(5e6)?, arrivals: PerSecond::new(0.8)? };
    /// # let rich = Site { server: Bps::new(35e6)?, arrivals: PerSecond::new(0.2)? };
    /// # let clusters = Clusters::new(&[poor, rich], Bps::new(1e6)?, Bps::new(0.5e6)?, Seconds::new(2000.0)?)?;
    /// let (apart, together) = (clusters.rejections_apart(), clusters.together().intervals());
    /// let (apart, together) = (apart.into_iter().nth(9), together.map(|interval| interval.rejected).nth(9));
    /// assert!(apart > Some(0.69) && together < Some(0.24)); // The poor are refused still, and there are more of them.
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn rejections_apart(&self) -> impl Iterator<Item = f64> + use<> {
        let all = self.together.arrivals_per_s;
        let mut each: Vec<(f64, Fluid)> =
            self.apart.iter().flatten().map(|growth| (growth.arrivals_per_s / all, growth.intervals())).collect();
        std::iter::from_fn(move || each.iter_mut().map(|(share, fluid)| Some(*share * fluid.next()?.rejected)).sum())
    }
}
