//! How often and how patiently a failed call is tried again.

use std::time::Duration;

use super::error::AwsError;

/// The most tries that a setting gets; a call's own deadline ends it long before.
const MAX_ATTEMPTS: u32 = 100;

/// How often and how patiently a call is tried again after throttling, a server's fault or a broken connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retries {
    /// How many tries in all, unless `AWS_MAX_ATTEMPTS` or the profile's `max_attempts` says otherwise. The default
    /// is 4.
    pub attempts: u32,
    /// The first pause; each further one is twice as long, and a random part of it is taken. The default is
    /// 200 ms.
    pub first_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 4, first_pause: Duration::from_millis(200) }
    }
}

/// A setting with the name of the variable or property that it comes from.
pub(super) type Named = (String, String);

impl Retries {
    /// The same with the user's settings.
    ///
    /// # Errors
    /// [`AwsError::Setting`] when one of them is not a value that the AWS tools know.
    pub(super) fn configured(self, mode: Option<Named>, attempts: Option<Named>) -> Result<Self, AwsError> {
        if let Some((name, mode)) = mode
            // All of them are the standard mode here: three calls a minute need no rate limit of their own.
            && !["legacy", "standard", "adaptive"].contains(&mode.trim().to_ascii_lowercase().as_str())
        {
            return Err(AwsError::setting(name, format!("{mode:?} is not legacy, standard or adaptive")));
        }
        let Some((name, text)) = attempts else { return Ok(self) };
        match text.trim().parse::<u32>() {
            Ok(attempts) if attempts > 0 => Ok(Self { attempts: attempts.min(MAX_ATTEMPTS), ..self }),
            _ => Err(AwsError::setting(name, format!("{text:?} is not a number of tries from 1 on"))),
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
    fn known_retry_settings_are_taken() {
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
    fn unknown_retry_settings_are_errors() {
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
