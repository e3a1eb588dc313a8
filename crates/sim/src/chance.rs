//! What happens by chance? Draws from a seed, the same on every machine: nothing but IEEE additions, products and
//! quotients goes into them, for a library's logarithm may differ in its last bit.

use trellis_core::seeded::Seeded;

/// Draws.
#[derive(Debug, Clone)]
pub struct Chance(Seeded);

impl Chance {
    /// From a seed and what the draws are for: each question gets its own sequence, so that a change in one leaves the
    /// others as they were.
    pub fn new(seed: u64, purpose: u64) -> Self {
        Self(Seeded::new(mix(seed, purpose)))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.number()
    }

    /// A whole number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// In 0..1, never 1.
    pub fn unit(&mut self) -> f64 {
        unit(self.0.number())
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// In `range`.
    pub fn within(&mut self, range: [f64; 2]) -> f64 {
        range[0] + (range[1] - range[0]) * self.unit()
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * ln(1.0 - self.unit())
    }

    /// One of several by weight.
    pub fn pick(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.unit() * weights.clone().sum::<f64>();
        for (at, weight) in weights.clone().enumerate() {
            left -= weight;
            if left < 0.0 {
                return at;
            }
        }
        weights.count().saturating_sub(1)
    }
}

/// Deals kinds so that each has its share among any few dozen dealt, in an order that chance decides: a small population
/// has the uplinks its scenario says, whatever the seed.
#[derive(Debug, Clone)]
pub struct Deck {
    shares: Vec<f64>,
    owed: Vec<f64>,
}

impl Deck {
    /// Of kinds with these shares.
    pub fn new(shares: impl IntoIterator<Item = f64>) -> Self {
        let shares: Vec<_> = shares.into_iter().collect();
        let whole: f64 = shares.iter().sum();
        let shares: Vec<_> = shares.into_iter().map(|share| share / whole).collect();
        Self { owed: vec![0.0; shares.len()], shares }
    }

    /// The next kind: the more it is owed, the likelier.
    pub fn deal(&mut self, chance: &mut Chance) -> usize {
        self.owed.iter_mut().zip(&self.shares).for_each(|(owed, share)| *owed += share);
        let kind = chance.pick(self.owed.iter().map(|owed| owed.max(0.0)));
        self.owed[kind] -= 1.0;
        kind
    }
}

/// 0..1 from a number's upper 53 bits.
pub fn unit(number: u64) -> f64 {
    (number >> 11) as f64 / (1u64 << 53) as f64
}

/// Two numbers into one; a fixed chance of a pair, without keeping a table of pairs.
pub fn mix(a: u64, b: u64) -> u64 {
    Seeded::new(a ^ b.wrapping_mul(0xd6e8_feb8_6659_fd93)).number()
}

/// The natural logarithm of a positive number: mantissa in [√½, √2), then 2·artanh of (m−1)/(m+1).
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 1023 << 52);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let (mut term, mut sum) = (z, 0.0);
    for n in (1..30).step_by(2) {
        sum += term / f64::from(n);
        term *= z * z;
    }
    2.0 * sum + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one_and_means_are_met() {
        for x in [1e-15, 0.01, 0.5, 0.999_999, 1.0, 1.5, 7.0, 1e9] {
            assert!((ln(x) - x.ln()).abs() < 1e-12 * (1.0 + x.ln().abs()), "{x}");
        }
        let mut chance = Chance::new(3, 4);
        let mean = (0..100_000).map(|_| chance.exponential(10.0)).sum::<f64>() / 1e5;
        assert!((mean - 10.0).abs() < 0.2, "{mean}");
        let picks = (0..100_000).filter(|_| chance.pick([0.4, 0.4, 0.2].into_iter()) == 2).count();
        assert!(picks.abs_diff(20_000) < 1_000, "{picks}");
        let mut deck = Deck::new([2.0, 2.0, 1.0]);
        let dealt: Vec<_> = (0..40).map(|_| deck.deal(&mut chance)).collect();
        let count = dealt.iter().filter(|kind| **kind == 2).count();
        assert!(count.abs_diff(8) <= 2, "{dealt:?}");
    }
}
