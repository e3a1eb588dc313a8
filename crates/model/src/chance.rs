//! How does a seed become chance, and how far does chance carry a small sample? The same numbers on every machine: integers
//! from the generator, logarithms and cosines from one library instead of each system's own.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// Chance from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Seeded(Xoshiro256PlusPlus);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Evenly from 0 up to, but not, 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Exponential, with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -libm::log1p(-self.uniform())
    }

    /// Normal, with mean 0 and deviation 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// A number below `bound`; 0 when that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The high half of a product: no division, and a bias below bound / 2^64.
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }
}

/// The 97.5 % quantile of Student's t for a sample of `runs`: exact for up to four, then within 0.1 % by the expansion
/// of Cornish and Fisher.
pub(crate) fn student_95(runs: u64) -> f64 {
    const Z: f64 = 1.959_963_985;
    let n = match runs {
        0 | 1 => return f64::NAN,
        2 => return 12.706_205,
        3 => return 4.302_653,
        4 => return 3.182_446,
        _ => (runs - 1) as f64,
    };
    let z2 = Z * Z;
    let first = Z * (z2 + 1.0) / 4.0;
    let second = Z * (5.0 * z2 * z2 + 16.0 * z2 + 3.0) / 96.0;
    let third = Z * (3.0 * z2.powi(3) + 19.0 * z2 * z2 + 17.0 * z2 - 15.0) / 384.0;
    let fourth = Z * (79.0 * z2.powi(4) + 776.0 * z2.powi(3) + 1482.0 * z2 * z2 - 1920.0 * z2 - 945.0) / 92160.0;
    Z + first / n + second / n.powi(2) + third / n.powi(3) + fourth / n.powi(4)
}

#[cfg(test)]
mod tests {
    use super::student_95;

    #[test]
    fn as_the_tables_have_it() {
        for (freedom, t) in [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (19, 2.093)] {
            let found = student_95(freedom + 1);
            assert!((found / t - 1.0).abs() < 1e-3, "{freedom}: {found} {t}");
        }
    }
}
