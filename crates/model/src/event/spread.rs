//! What do several runs say together? Their mean, how they scatter, and how sure that is.

use crate::chance::student_95;

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
