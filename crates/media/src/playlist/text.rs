//! Times as playlists write them.

use std::fmt::{self, Display, Formatter};

/// Microseconds as decimal seconds, exact, no longer than need be: `2.0`, `0.333333`.
pub(super) fn seconds(us: u64) -> impl Display {
    fmt::from_fn(move |f: &mut Formatter<'_>| {
        let (mut fraction, mut digits) = (us % 1_000_000, 6);
        while digits > 1 && fraction % 10 == 0 {
            (fraction, digits) = (fraction / 10, digits - 1);
        }
        write!(f, "{}.{fraction:0digits$}", us / 1_000_000)
    })
}

/// Milliseconds since the Unix epoch as ISO 8601 in UTC.
pub(super) fn date_time(ms: u64) -> impl Display {
    fmt::from_fn(move |f: &mut Formatter<'_>| {
        let (year, month, day) = civil(ms / 86_400_000);
        let (s, ms) = (ms / 1000 % 86_400, ms % 1000);
        let (hour, minute, second) = (s / 3600, s / 60 % 60, s % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    })
}

/// Year, month and day of a day since the Unix epoch. Counts from 1 March of year 0, so that the leap day is
/// the last of its year, in eras of 400 years.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March: 31 30 31 30 31 repeats every 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_and_short() {
        let all = [0, 1, 320_000, 333_333, 2_000_000, 61_500_000].map(|us| seconds(us).to_string());
        assert_eq!(all, ["0.0", "0.000001", "0.32", "0.333333", "2.0", "61.5"]);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_790_000_000_123, "2026-09-21T14:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(date_time(ms).to_string(), text);
        }
    }
}
