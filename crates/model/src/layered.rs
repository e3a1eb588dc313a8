//! What must a server send of layered media? (11) Only the base layer goes from the server to everybody; each enhancement
//! layer leaves it once, and the peers pass it on.
//!
//! That needs peers who can: one copy of a layer is enough only if their uploads carry the others, which the paper does
//! not say ([`Layers::server_bps`] does). And the saving is a constant factor, b_0/Σb, still linear in the audience: the
//! server sends (N − 1)·b_0 more than [`crate::bounds::server_bps_min`] knows to be necessary.

use crate::{Bps, InputError};

/// Layers, from the base up, and who takes them.
/// ```
/// use trellis_model::{Bps, layered::Layers};
/// let rates = [Bps::new(100e3)?, Bps::new(150e3)?, Bps::new(250e3)?];
/// let layers = Layers::for_all(1000, &rates)?;
/// assert_eq!((layers.direct_bps(), layers.once_bps()), (500e6, 100.4e6));
/// # Ok::<(), trellis_model::InputError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Layers {
    /// b_i and N_i.
    layers: Vec<(f64, f64)>,
}

/// The statement about three layers for a thousand.
macro_rules! thousand {
    ($statement:literal) => {
        concat!(
            "```\n# use trellis_model::{Bps, layered::Layers};\n",
            "# let rates = [Bps::new(100e3)?, Bps::new(150e3)?, Bps::new(250e3)?];\n",
            "# let layers = Layers::for_all(1000, &rates)?;\nassert!(",
            $statement,
            ");\n# Ok::<(), trellis_model::InputError>(())\n```"
        )
    };
}

impl Layers {
    /// Everybody takes all layers, b_0 first.
    #[doc = thousand!("Layers::for_all(1000, &[]).is_err() && layers == Layers::new(&rates.map(|rate| (rate, 1000)))?")]
    pub fn for_all(peers: u64, rates: &[Bps]) -> Result<Self, InputError> {
        Self::new(&rates.iter().map(|rate| (*rate, peers)).collect::<Vec<_>>())
    }

    /// b_i and N_i, how many take layer i, b_0 first. Who takes a layer takes those below, so N_i cannot rise.
    #[doc = thousand!("Layers::new(&[(rates[0], 10), (rates[1], 11)]).is_err()")]
    pub fn new(layers: &[(Bps, u64)]) -> Result<Self, InputError> {
        if layers.is_empty() {
            return Err(InputError::Empty("the layers"));
        }
        if !layers.iter().map(|(_, peers)| *peers).rev().is_sorted() {
            return Err(InputError::Order("the viewers of a layer", "no more than those of the layer below"));
        }
        Ok(Self { layers: layers.iter().map(|(rate, peers)| (rate.get(), *peers as f64)).collect() })
    }

    /// B_CS = Σ N_i·b_i: what the server alone would send, bit/s.
    #[doc = thousand!("layers.direct_bps() == 1000.0 * 500e3")]
    pub fn direct_bps(&self) -> f64 {
        self.layers.iter().map(|(rate, peers)| rate * peers).sum()
    }

    /// (11) B_O = N·b_0 + Σ b_i for i ≥ 1: what it sends when peers do the rest, bit/s. Layers nobody takes do not count.
    #[doc = thousand!("layers.once_bps() == 1000.0 * 100e3 + 400e3")]
    pub fn once_bps(&self) -> f64 {
        let enhancements = self.layers.iter().skip(1).filter(|(_, peers)| *peers > 0.0);
        self.layers[0].0 * self.layers[0].1 + enhancements.map(|(rate, _)| rate).sum::<f64>()
    }

    /// B_O/B_CS, which tends to b_0/Σb_i as the audience grows; 1 when there is nothing to send.
    #[doc = thousand!("layers.ratio() == 0.2008")]
    pub fn ratio(&self) -> f64 {
        let direct = self.direct_bps();
        if direct == 0.0 { 1.0 } else { self.once_bps() / direct }
    }

    /// Σ (N_i − 1)·b_i for i ≥ 1: what the peers must send for that, bit/s.
    #[doc = thousand!("layers.peers_bps() == 999.0 * 400e3")]
    pub fn peers_bps(&self) -> f64 {
        self.layers.iter().skip(1).map(|(rate, peers)| rate * (peers - 1.0).max(0.0)).sum()
    }

    /// Whether peers who send so much together can do that (necessary; that flows can be routed so is another matter).
    #[doc = thousand!("layers.is_feasible(Bps::new(400e6)?) && !layers.is_feasible(Bps::new(399e6)?)")]
    pub fn is_feasible(&self, uploads: Bps) -> bool {
        uploads.get() >= self.peers_bps()
    }

    /// What the server sends when peers send so much together: B_O and what they cannot carry, bit/s.
    #[doc = thousand!("(layers.server_bps(Bps::new(199.6e6)?) - 300.4e6).abs() < 1.0")]
    pub fn server_bps(&self, uploads: Bps) -> f64 {
        self.once_bps() + (self.peers_bps() - uploads.get()).max(0.0)
    }

    /// (N − 1)·b_0: what sending the base to everybody costs beyond sending it once, bit/s.
    #[doc = thousand!("layers.base_excess_bps() == 999.0 * 100e3")]
    pub fn base_excess_bps(&self) -> f64 {
        let (rate, peers) = self.layers[0];
        rate * (peers - 1.0).max(0.0)
    }
}
