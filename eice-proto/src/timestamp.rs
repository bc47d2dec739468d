//! A point in time as SigV4 writes it: whole seconds, UTC.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z, up to the last second of the year 9999. Displays as `YYYYMMDDTHHMMSSZ`,
/// the form of `X-Amz-Date`, and parses from exactly that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// 9999-12-31T23:59:59Z: a later year would need a fifth digit.
const LAST: u64 = 253_402_300_799;
const SECS_PER_DAY: u64 = 86_400;

/// A text that is not `YYYYMMDDTHHMMSSZ`, or a date that does not exist or is before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a moment of the form YYYYMMDDTHHMMSSZ")]
#[non_exhaustive]
pub struct InvalidTimestamp;

impl Timestamp {
    /// Creates a timestamp `seconds` after 1970-01-01T00:00:00Z; values past the year 9999 become its last second.
    #[must_use]
    pub const fn from_unix(seconds: u64) -> Self {
        Self(if seconds > LAST { LAST } else { seconds })
    }

    /// Returns the seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_unix(self) -> u64 {
        self.0
    }

    /// Returns the day as `YYYYMMDD`: the first part of a credential scope.
    #[must_use]
    pub fn date(self) -> String {
        let (year, month, day) = civil_from_days(self.0 / SECS_PER_DAY);
        format!("{year:04}{month:02}{day:02}")
    }

    /// Returns `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339), the form of AWS's APIs and JSON.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let (year, month, day) = civil_from_days(self.0 / SECS_PER_DAY);
        let (hour, minute, second) = self.time_of_day();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    fn time_of_day(self) -> (u64, u64, u64) {
        let second = self.0 % SECS_PER_DAY;
        (second / 3600, second / 60 % 60, second % 60)
    }

    /// Returns the timestamp `seconds` later, at most the last second of the year 9999.
    #[must_use]
    pub const fn saturating_add(self, seconds: u64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// Returns how far `self` is after `other`; zero if it is not.
    #[must_use]
    pub const fn since(self, other: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(other.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// Times before 1970 become 1970.
    fn from(time: SystemTime) -> Self {
        Self::from_unix(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / SECS_PER_DAY);
        let (hour, minute, second) = self.time_of_day();
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let bytes: &[u8; 16] = text.as_bytes().try_into().map_err(|_| InvalidTimestamp)?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return Err(InvalidTimestamp);
        }
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().try_fold(0_u64, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')).ok_or(InvalidTimestamp)
            })
        };
        let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
        let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
        if year < 1970 || !(1..=12).contains(&month) || day < 1 || hour > 23 || minute > 59 || second > 59 {
            return Err(InvalidTimestamp);
        }
        let days = days_from_civil(year, month, day);
        if civil_from_days(days) != (year, month, day) {
            return Err(InvalidTimestamp); // such as 30 February
        }
        Ok(Self(days * SECS_PER_DAY + hour * 3600 + minute * 60 + second))
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, years counted from March
/// (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_timestamps_round_trip() {
        for (unix, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_577_840_461, "20200101T010101Z"),
            (1_785_326_400, "20260729T120000Z"),
            (LAST, "99991231T235959Z"),
        ] {
            assert_eq!(Timestamp::from_unix(unix).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_unix(unix)));
            assert_eq!(Timestamp::from_unix(unix).date(), text[..8]);
            let rfc3339 = Timestamp::from_unix(unix).rfc3339();
            assert_eq!(rfc3339.replace(['-', ':'], ""), text, "{rfc3339}");
        }
        assert_eq!(Timestamp::from_unix(u64::MAX).to_string(), "99991231T235959Z");
        assert_eq!(Timestamp::from_unix(1_675_771_537).rfc3339(), "2023-02-07T12:05:37Z");
    }

    #[test]
    fn each_day_round_trips() {
        for day in 0..146_097 + 366 {
            let noon = Timestamp::from_unix(day * SECS_PER_DAY + 43_200);
            assert_eq!(noon.to_string().parse(), Ok(noon));
        }
    }

    #[test]
    fn malformed_timestamps_are_rejected() {
        for bad in [
            "",
            "20260729T120000",
            "20260729T120000Z ",
            "2026-07-29T12:00Z",
            "20260230T120000Z",
            "20260001T120000Z",
            "20261301T120000Z",
            "20260700T120000Z",
            "20260729T240000Z",
            "20260729T126000Z",
            "20260729T120060Z",
            "20260729t120000z",
            "+0260729T120000Z",
            "19691231T235959Z",
            "2026072\u{661}T12000Z",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad:?}");
        }
    }
}
