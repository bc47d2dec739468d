//! Retry settings.

use std::time::Duration;

use super::error::AwsError;

/// The maximum number of attempts in a setting; a call's own deadline is reached long before.
const MAX_ATTEMPTS: u32 = 100;

/// Retries of calls after throttling, server errors and broken connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retries {
    /// The number of attempts, unless `AWS_MAX_ATTEMPTS` or the profile's `max_attempts` overrides it. The default
    /// is 4.
    pub attempts: u32,
    /// The first backoff; it doubles with every retry, with jitter. The default is 200 ms.
    pub first_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 4, first_pause: Duration::from_millis(200) }
    }
}

/// A setting: the name of its variable or property, and its value.
pub(super) type NamedSetting = (String, String);

impl Retries {
    /// Applies the user's settings.
    ///
    /// # Errors
    /// [`AwsError::Setting`] when a value is invalid for the AWS tools as well.
    pub(super) fn configured(
        self,
        mode: Option<NamedSetting>,
        attempts: Option<NamedSetting>,
    ) -> Result<Self, AwsError> {
        if let Some((name, mode)) = mode
            // All modes behave as `standard`: three calls a minute need no client-side rate limit.
            && !["legacy", "standard", "adaptive"].contains(&mode.trim().to_ascii_lowercase().as_str())
        {
            return Err(AwsError::setting(name, format!("{mode:?} is not legacy, standard or adaptive")));
        }
        let Some((name, text)) = attempts else { return Ok(self) };
        match text.trim().parse::<u32>() {
            Ok(attempts) if attempts > 0 => Ok(Self { attempts: attempts.min(MAX_ATTEMPTS), ..self }),
            _ => Err(AwsError::setting(name, format!("{text:?} is not a number of attempts, 1 or more"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(mode: Option<&str>, attempts: Option<&str>) -> Result<u32, String> {
        let named = |value: Option<&str>| value.map(|value| ("AWS_X".to_owned(), value.to_owned()));
        let retries = Retries::default().configured(named(mode), named(attempts));
        retries.map(|retries| retries.attempts).map_err(|error| error.to_string())
    }

    #[test]
    fn valid_settings_are_applied() {
        for (mode, attempts, expected) in [
            (None, None, 4),
            (Some("legacy"), None, 4),
            (Some("Adaptive"), Some("6"), 6),
            (Some("standard"), Some(" 1 "), 1),
            (None, Some("4294967295"), MAX_ATTEMPTS),
        ] {
            assert_eq!(configured(mode, attempts), Ok(expected), "{mode:?} {attempts:?}");
        }
    }

    #[test]
    fn invalid_settings_are_errors() {
        for (mode, attempts) in [
            (Some("x"), None),
            (None, Some("0")),
            (None, Some("-1")),
            (None, Some("x")),
            (None, Some("1.5")),
            (None, Some("99999999999999999999")),
        ] {
            let error = configured(mode, attempts).unwrap_err();
            assert!(error.contains("AWS_X"), "{error}");
        }
    }
}
