//! What do several runs say together? Their mean, how they scatter, and how sure that is.

/// Mean and scatter of a number over independent runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// In how many runs there was such a number.
    pub runs: u64,
    /// Their mean; NaN of none.
    pub mean: f64,
    /// Their standard deviation (of a sample: over n − 1); NaN of fewer than two.
    pub sd: f64,
}

impl Spread {
    /// Of the numbers that there are.
    /// ```
    /// use trellis_model::event::Spread;
    /// let spread = Spread::of([Some(1.0), None, Some(3.0)]);
    /// assert_eq!((spread.runs, spread.mean, spread.sd), (2, 2.0, 2f64.sqrt()));
    /// ```
    pub fn of(numbers: impl IntoIterator<Item = Option<f64>>) -> Self {
        // Welford's way: no two large sums whose difference is small.
        let (mut runs, mut mean, mut squares) = (0u64, 0.0, 0.0);
        for number in numbers.into_iter().flatten() {
            runs += 1;
            let off = number - mean;
            mean += off / runs as f64;
            squares += off * (number - mean);
        }
        let mean = if runs == 0 { f64::NAN } else { mean };
        Self { runs, mean, sd: if runs < 2 { f64::NAN } else { (squares / (runs - 1) as f64).sqrt() } }
    }

    /// The interval that holds the true mean in 95 of 100 such series (Student); NaN with fewer than two runs.
    /// ```
    /// use trellis_model::event::Spread;
    /// let (low, high) = Spread { runs: 20, mean: 0.36, sd: 0.02 }.mean_95();
    /// assert!((low - 0.35064).abs() < 1e-5 && (high - 0.36936).abs() < 1e-5);
    /// ```
    pub fn mean_95(self) -> (f64, f64) {
        let half = student_95(self.runs) * self.sd / (self.runs as f64).sqrt();
        (self.mean - half, self.mean + half)
    }

    /// The band in which the next run falls with a chance of 95 in 100 (Student); NaN with fewer than two runs.
    /// ```
    /// use trellis_model::event::Spread;
    /// let (low, high) = Spread { runs: 1_000_000, mean: 0.0, sd: 1.0 }.band_95();
    /// assert!((low + 1.95997).abs() < 1e-5 && (high - 1.95997).abs() < 1e-5);
    /// ```
    pub fn band_95(self) -> (f64, f64) {
        let half = student_95(self.runs) * self.sd * (1.0 + 1.0 / self.runs as f64).sqrt();
        (self.mean - half, self.mean + half)
    }
}

/// The 97.5 % quantile of Student's t for a sample of `runs`: exact for up to four, then within 0.1 % by the expansion
/// of Cornish and Fisher.
pub(super) fn student_95(runs: u64) -> f64 {
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
