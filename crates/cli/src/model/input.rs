//! How are the model's numbers written? Rates as 500k, times as 90s or 2h; a wrong one is told what is allowed.

use anyhow::{Context, Result};
use trellis_model::{Bps, Growth, Offer, PerSecond, Seconds};

/// One cluster: B, β, α, λ and L.
#[derive(Debug, Clone, clap::Args)]
pub struct Cluster {
    /// B: what the server can send, bit/s: 800k, 100M, 1.5G
    #[arg(long, value_name = "RATE", value_parser = bps, allow_negative_numbers = true)]
    pub server_bandwidth: Bps,
    /// β: what a session takes, bit/s
    #[arg(long, value_name = "RATE", value_parser = some_bps, allow_negative_numbers = true)]
    pub rate: Bps,
    /// α: what a peer gives once it has seen all, bit/s; 0 if nothing
    #[arg(long, value_name = "RATE", value_parser = bps, allow_negative_numbers = true)]
    pub contribution: Bps,
    /// λ: requests per second: 1, 0.5, or 30/min, 600/h
    #[arg(long, value_name = "FREQUENCY", value_parser = some_per_second, allow_negative_numbers = true)]
    pub arrivals: PerSecond,
    /// L: how long a session lasts: seconds, or 90s, 30m, 2h, 1d
    #[arg(long, value_name = "TIME", value_parser = some_seconds, allow_negative_numbers = true)]
    pub length: Seconds,
}

impl Cluster {
    /// What the model knows of it.
    pub fn offer(&self) -> Offer {
        Offer {
            server: self.server_bandwidth,
            session: self.rate,
            support: self.contribution,
            arrivals: self.arrivals,
            length: self.length,
        }
    }

    /// Its closed forms.
    pub fn growth(&self) -> Result<Growth> {
        Growth::new(self.offer()).context("--server-bandwidth, --rate, --contribution, --arrivals or --length")
    }
}

/// A bandwidth: bits per second, with k, M or G for powers of 1000.
pub fn bps(text: &str) -> Result<Bps, String> {
    let wrong = || format!("`{text}` is not a rate: write bits per second as 800k, 25M or 1.5G");
    scaled(text, &[("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("", 1.0)])
        .and_then(|bits| Bps::new(bits).ok())
        .ok_or_else(wrong)
}

/// The same, but more than nothing.
pub fn some_bps(text: &str) -> Result<Bps, String> {
    bps(text).and_then(|rate| more_than_zero(rate, rate.get(), "800k, 25M or 1.5G"))
}

/// A time.
pub fn seconds(text: &str) -> Result<Seconds, String> {
    let wrong = || format!("`{text}` is not a time: write seconds, or 500ms, 90s, 30m, 2h or 1d");
    scaled(text, &[("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0), ("", 1.0)])
        .and_then(|time| Seconds::new(time).ok())
        .ok_or_else(wrong)
}

/// The same, but more than nothing.
pub fn some_seconds(text: &str) -> Result<Seconds, String> {
    seconds(text).and_then(|time| more_than_zero(time, time.get(), "90s, 30m or 2h"))
}

/// How often, more than never.
pub fn some_per_second(text: &str) -> Result<PerSecond, String> {
    let wrong = || format!("`{text}` is not a frequency: write how many a second, or 30/min or 600/h");
    let often = scaled(text, &[("/s", 1.0), ("/min", 1.0 / 60.0), ("/h", 1.0 / 3_600.0), ("", 1.0)])
        .and_then(|often| PerSecond::new(often).ok())
        .ok_or_else(wrong)?;
    more_than_zero(often, often.get(), "1, 30/min or 600/h")
}

fn more_than_zero<T>(value: T, number: f64, such_as: &str) -> Result<T, String> {
    if number > 0.0 { Ok(value) } else { Err(format!("it must be more than zero, such as {such_as}")) }
}

/// The number before the first unit that fits, times what that is worth; units of one letter and none come last.
fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (digits, worth) = units.iter().find_map(|(unit, worth)| Some((text.trim().strip_suffix(unit)?, *worth)))?;
    let number: f64 = digits.trim_end().parse().ok()?;
    Some(number * worth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_people_write_them() {
        assert_eq!(bps("100M").map(Bps::get), Ok(1e8));
        assert_eq!(bps("0").map(Bps::get), Ok(0.0));
        assert_eq!(seconds("2h").map(Seconds::get), Ok(7_200.0));
        assert_eq!(seconds("500ms").map(Seconds::get), Ok(0.5));
        assert_eq!(some_per_second("30/min").map(PerSecond::get), Ok(0.5));
        for bad in ["", "M", "-1M", "1m", "inf", "NaN", "1e400", "1,5M", "ü"] {
            assert!(bps(bad).is_err(), "{bad}");
        }
        assert!(some_bps("0").is_err() && some_seconds("0s").is_err() && some_per_second("0").is_err());
    }
}
