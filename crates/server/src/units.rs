//! How people write rates: `100M` is 10^8 bit/s.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// A rate in bit/s. Written as a number with an optional `k`, `M` or `G` (powers of ten).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u64);

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate: write bits per second as 800k, 25M or 1.5G");
        let text_trimmed = text.trim();
        let (digits, unit) = match text_trimmed.char_indices().last() {
            Some((at, 'k' | 'K')) => (&text_trimmed[..at], 1e3),
            Some((at, 'M')) => (&text_trimmed[..at], 1e6),
            Some((at, 'G')) => (&text_trimmed[..at], 1e9),
            _ => (text_trimmed, 1.0),
        };
        let value: f64 = digits.parse().map_err(|_| wrong())?;
        let bits = value * unit;
        if (1.0..=1e15).contains(&bits) { Ok(Self(bits as u64)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0 as f64;
        match self.0 {
            1_000_000_000.. => write!(f, "{:.2} Gbit/s", bits / 1e9),
            1_000_000.. => write!(f, "{:.2} Mbit/s", bits / 1e6),
            _ => write!(f, "{:.0} kbit/s", bits / 1e3),
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// Reads a number of bit/s, or a text.
struct Written;

impl de::Visitor<'_> for Written {
    type Value = Rate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate: bits per second as 800k, 25M or 1.5G")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, bits: i64) -> Result<Rate, E> {
        self.visit_str(&bits.to_string())
    }

    fn visit_u64<E: de::Error>(self, bits: u64) -> Result<Rate, E> {
        self.visit_str(&bits.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn rates_read_as_people_write_them() {
        assert_eq!(
            ["800k", "25M", "1.5G", "64000"].map(|t| t.parse()),
            [Ok(Rate(800_000)), Ok(Rate(25_000_000)), Ok(Rate(1_500_000_000)), Ok(Rate(64_000))]
        );
        for bad in ["", "M", "-1M", "ten", "1T", "nan", "inf", "0"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad:?}");
        }
    }
}
