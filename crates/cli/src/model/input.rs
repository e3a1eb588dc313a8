//! How are the model's numbers written? Rates as 500k, times as 90s or 2h; a wrong one is told what is allowed.

use std::str::FromStr;

use anyhow::{Context, Result};
use serde::Serialize;
use trellis_model::{Bps, Growth, Offer, PerSecond, Seconds, Share, Sharing};

/// One cluster: B, β, α, λ and L.
#[derive(Debug, Clone, clap::Args)]
pub struct Cluster {
    /// B: what the server can send, bit/s: 800k, 100M, 1.5G
    #[arg(long, value_name = "RATE", value_parser = bps)]
    pub server_bandwidth: Bps,
    /// β: what a session takes, bit/s
    #[arg(long, value_name = "RATE", value_parser = some_bps)]
    pub rate: Bps,
    /// α: what a peer gives once it has seen all, bit/s; 0 if nothing
    #[arg(long, value_name = "RATE", value_parser = bps)]
    pub contribution: Bps,
    /// λ: requests per second: 1, 0.5, or 30/min, 600/h
    #[arg(long, value_name = "FREQUENCY", value_parser = some_per_second)]
    pub arrivals: PerSecond,
    /// L: how long a session lasts: seconds, or 90s, 30m, 2h, 1d
    #[arg(long, value_name = "TIME", value_parser = some_seconds)]
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

/// A flag's value is taken as it is, also if it begins with `-`: what is wrong with -1M is told by whoever reads it.
pub fn any_text(arg: clap::Arg) -> clap::Arg {
    if arg.get_action().takes_values() { arg.allow_hyphen_values(true) } else { arg }
}

/// Who may serve one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Assignment {
    /// The server alone, or peers alone.
    Strict,
    /// Server and peers together.
    Mixed,
    /// The server alone, or peers that serve nobody else.
    Integral,
}

impl From<Assignment> for Sharing {
    fn from(assignment: Assignment) -> Self {
        match assignment {
            Assignment::Strict => Self::Strict,
            Assignment::Mixed => Self::Mixed,
            Assignment::Integral => Self::Integral,
        }
    }
}

/// Which share of viewers can send how much; shares sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix(pub Vec<(f64, Bps)>);

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(':') {
            return Ok(Self(vec![(1.0, bps(text)?)]));
        }
        let part = |part: &str| {
            let (of, upload) =
                part.split_once(':').ok_or_else(|| format!("`{part}` is not SHARE:RATE, such as 40%:5M"))?;
            Ok((share(of)?.get(), bps(upload)?))
        };
        let parts = text.split(',').map(part).collect::<Result<Vec<_>, String>>()?;
        let sum: f64 = parts.iter().map(|(share, _)| share).sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(format!("the shares must sum to 100 %, not {:.1} %", sum * 100.0));
        }
        Ok(Self(parts))
    }
}

impl Mix {
    /// What one sends on average.
    pub fn mean(&self) -> Result<Bps> {
        Ok(Bps::new(self.0.iter().map(|(share, upload)| share * upload.get()).sum())?)
    }

    /// What of it can be put to use.
    pub fn used(&self, utilization: Share) -> Self {
        let used = |(share, upload): &(f64, Bps)| Some((*share, Bps::new(upload.get() * utilization.get()).ok()?));
        // A part of a rate is a rate.
        Self(self.0.iter().filter_map(used).collect())
    }

    /// Those who can send more than the rate (the strong), or those who can send less: their share and their mean.
    pub fn of(&self, rate: Bps, strong: bool) -> Option<(f64, Bps)> {
        let belongs = |upload: Bps| if strong { upload > rate } else { upload < rate };
        let of = self.0.iter().filter(|(share, upload)| *share > 0.0 && belongs(*upload));
        let (share, sum) = of.fold((0.0, 0.0), |(all, sum), (share, upload)| (all + share, sum + share * upload.get()));
        // Of none it is not a number.
        Bps::new(sum / share).ok().map(|mean| (share, mean))
    }
}

impl std::fmt::Display for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |(share, upload): &(f64, Bps)| {
            format!("{:.0} % {}", share * 100.0, super::output::rate_in_text(upload.get()))
        };
        write!(f, "{}", self.0.iter().map(part).collect::<Vec<_>>().join(", "))
    }
}

/// Edges: what each can send, or None for one of the usual size.
#[derive(Debug, Clone, PartialEq)]
pub struct Edges(pub Vec<Option<Bps>>);

impl FromStr for Edges {
    type Err = String;

    /// `4x1G`, `1G,1G,500M`, or only how many: a rate always has a unit here.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut edges = Vec::new();
        for part in text.split(',').map(str::trim) {
            let wrong = || {
                format!("`{part}` is not COUNT, RATE or COUNTxRATE, such as 4, 500M or 4x1G; at most {EDGES_MAX} edges")
            };
            let counted = |count: &str| count.parse().ok().filter(|count| (1..=EDGES_MAX).contains(count));
            let (count, size) = match part.split_once('x') {
                Some((count, size)) => (counted(count).ok_or_else(wrong)?, Some(some_bps(size)?)),
                None if part.ends_with(|last: char| last.is_ascii_digit()) => (counted(part).ok_or_else(wrong)?, None),
                None => (1, Some(some_bps(part).map_err(|_| wrong())?)),
            };
            edges.extend(vec![size; count]);
        }
        Ok(Self(edges))
    }
}

/// Edges of one part of the list, at most.
const EDGES_MAX: usize = 10_000;

/// A price: a number that is not negative.
pub fn price(text: &str) -> Result<f64, String> {
    let price = text.trim().parse().ok().filter(|price: &f64| price.is_finite() && *price >= 0.0);
    price.ok_or_else(|| format!("`{text}` is not a price: write a number such as 0.03"))
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

/// A share: 40% or 0.4.
pub fn share(text: &str) -> Result<Share, String> {
    let wrong = || format!("`{text}` is not a share: write 0% to 100%, or 0 to 1");
    scaled(text, &[("%", 0.01), ("", 1.0)]).and_then(|share| Share::new(share).ok()).ok_or_else(wrong)
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
        let mix: Mix = "40%:0,0.6:5M".parse().unwrap();
        assert_eq!(mix.mean().unwrap().get(), 3e6);
        assert_eq!(mix.of(Bps::new(1e6).unwrap(), true), Some((0.6, Bps::new(5e6).unwrap())));
        for bad in ["40%:0,50%:5M", "40%:0,60%", "40%:x,60%:1M", ":", ""] {
            assert!(bad.parse::<Mix>().is_err(), "{bad}");
        }
        let edges: Edges = "2x1G,500M,3".parse().unwrap();
        assert_eq!(edges.0.iter().flatten().map(|edge| edge.get()).sum::<f64>(), 2.5e9);
        assert_eq!(edges.0.iter().filter(|edge| edge.is_none()).count(), 3);
        for bad in ["", "0x1G", "x1G", "0", "99999", "4x", "1.5", "-1"] {
            assert!(bad.parse::<Edges>().is_err(), "{bad}");
        }
        assert!(price("-1").is_err() && price("inf").is_err());
        assert!(some_bps("0").is_err() && some_seconds("0s").is_err() && some_per_second("0").is_err());
    }
}
