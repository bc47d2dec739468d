//! Detects the local clock's skew from a response that rejects a signature.

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::error::Skew;

/// A smaller difference cannot be the cause of a rejection: AWS tolerates five minutes.
const TOLERATED: Duration = Duration::from_secs(240);

/// Returns the difference between `now` and AWS's clock, read from the error message (`… (20260729T120000Z - 5
/// min.)`) or the `Date` header; [`Skew::Unknown`] when neither shows a difference that matters.
pub(super) fn skew(date: Option<&str>, message: &str, now: SystemTime) -> Skew {
    let in_text = server_time(message);
    let in_header = date
        .and_then(|date| DateTime::from_str(date, Format::HttpDate).ok())
        .and_then(|date| SystemTime::try_from(date).ok());
    [in_text, in_header]
        .into_iter()
        .flatten()
        .map(|server| difference(server, now))
        .find(|skew| matches!(skew, Skew::Ahead(by) | Skew::Behind(by) if *by > TOLERATED))
        .unwrap_or(Skew::Unknown)
}

fn difference(server: SystemTime, now: SystemTime) -> Skew {
    match now.duration_since(server) {
        Ok(ahead) => Skew::Ahead(ahead),
        Err(error) => Skew::Behind(error.duration()),
    }
}

/// Returns the server's time from messages like `Signature expired: A is now earlier than B (NOW - 5 min.)`: it
/// follows the last opening parenthesis.
fn server_time(message: &str) -> Option<SystemTime> {
    let (_, rest) = message.rsplit_once('(')?;
    let text = rest.get(..16)?;
    let all_digits = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    if !(all_digits(0..8) && all_digits(9..15) && text.get(8..9) == Some("T") && text.ends_with('Z')) {
        return None;
    }
    let iso = format!(
        "{}-{}-{}T{}:{}:{}Z",
        text.get(0..4)?,
        text.get(4..6)?,
        text.get(6..8)?,
        text.get(9..11)?,
        text.get(11..13)?,
        text.get(13..15)?
    );
    DateTime::from_str(&iso, Format::DateTime).ok().and_then(|time| SystemTime::try_from(time).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-07-29T12:00:00Z.
    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_326_400)
    }

    #[test]
    fn skew_is_read_from_header_and_message() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let header = Some("Wed, 29 Jul 2026 12:10:00 GMT");
        assert_eq!(skew(header, "", noon()), Skew::Behind(minutes(10)));
        assert_eq!(skew(Some("Wed, 29 Jul 2026 11:50:00 GMT"), "", noon()), Skew::Ahead(minutes(10)));
        let text = "Signature expired: 20260729T120000Z is now earlier than 20260729T120500Z (20260729T121000Z - 5 min.)";
        assert_eq!(skew(Some("Wed, 29 Jul 2026 12:00:00 GMT"), text, noon()), Skew::Behind(minutes(10)));
        assert_eq!(skew(None, text, noon()), Skew::Behind(minutes(10)));
    }

    #[test]
    fn small_or_missing_difference_is_unknown() {
        for (date, message) in [
            (Some("Wed, 29 Jul 2026 12:03:00 GMT"), ""),
            (Some("yesterday"), "no (time) here"),
            (None, "(\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"),
            (None, "("),
            (None, "(20261399T999999Z"),
        ] {
            assert_eq!(skew(date, message, noon()), Skew::Unknown, "{date:?} {message:?}");
        }
    }
}
