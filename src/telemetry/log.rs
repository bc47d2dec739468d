//! The log of the program: filter, format, and stderr.

use std::io;
use std::str::FromStr;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::Escaped;

/// The format of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Human-readable lines. The default.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(Error::Format(other.chars().take(MAX_EXCERPT).collect())),
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// A filter in the syntax of `tracing_subscriber::EnvFilter`: `info`, `warn,eice::tunnel=debug`, `off`. The
    /// default, the empty filter, logs nothing.
    pub filter: String,
    /// The format of a line. The default is text.
    pub format: Format,
}

impl Config {
    /// Logs what `filter` selects, in `format`.
    #[must_use]
    pub fn new(filter: impl Into<String>, format: Format) -> Self {
        Self { filter: filter.into(), format }
    }
}

/// Why tracing could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The filter is invalid.
    #[error("{filter:?} is not a log filter")]
    Filter {
        /// The filter.
        filter: String,
        /// The cause.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The format is unknown.
    #[error("{0:?} is not a log format: it must be text or json")]
    Format(String),
    /// A subscriber is already set.
    #[error("logging is set up already")]
    AlreadySet,
}

/// The maximum length of a quoted text, in characters.
const MAX_EXCERPT: usize = 100;

/// Changes the filter at run time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(reload::Handle<EnvFilter, Registry>);

impl Log {
    /// Replaces the filter.
    ///
    /// # Errors
    /// If the filter is invalid.
    pub fn set_filter(&self, filter: &str) -> Result<(), Error> {
        let filter = read_filter(filter)?;
        // The subscriber is set for the whole process and never dropped, so this cannot fail.
        let _ = self.0.reload(filter);
        Ok(())
    }
}

/// Checks that `filter` is valid.
///
/// # Errors
/// [`Error::Filter`] if it is not.
pub fn check_filter(filter: &str) -> Result<(), Error> {
    read_filter(filter).map(drop)
}

fn read_filter(filter: &str) -> Result<EnvFilter, Error> {
    let text = if filter.is_empty() { "off" } else { filter };
    EnvFilter::try_new(text)
        .map_err(|source| Error::Filter { filter: filter.chars().take(MAX_EXCERPT).collect(), source })
}

/// Starts logging to stderr for the whole process. The program calls it once; the library never does.
///
/// # Errors
/// If the filter is invalid or a subscriber is already set.
pub fn init(config: &Config) -> Result<Log, Error> {
    let (filter, handle) = reload::Layer::new(read_filter(&config.filter)?);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(stderr);
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(shows_no_payload));
    match config.format {
        Format::Text => registry.with(lines.with_target(true)).try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(|_| Error::AlreadySet)?;
    Ok(Log(handle))
}

/// Excludes events that no user's filter may enable: at trace level the WebSocket library logs whole messages,
/// including keystrokes and signed URLs.
fn shows_no_payload(metadata: &Metadata<'_>) -> bool {
    *metadata.level() < Level::TRACE || !metadata.target().starts_with("tungstenite")
}

/// Returns stderr with control bytes escaped.
fn stderr() -> Escaped<io::Stderr> {
    Escaped::new(io::stderr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_parse_by_name() {
        assert_eq!("json".parse::<Format>().unwrap(), Format::Json);
        assert_eq!("text".parse::<Format>().unwrap(), Format::Text);
        assert!("JSON".parse::<Format>().is_err());
    }

    #[test]
    fn invalid_filter_is_rejected() {
        let error = init(&Config::new("eice=loud", Format::Text)).unwrap_err();
        assert!(matches!(error, Error::Filter { .. }), "{error}");
    }

    #[test]
    fn websocket_payloads_are_never_logged() {
        use tracing::{debug_span, trace_span};

        let subscriber = tracing_subscriber::registry().with(filter_fn(shows_no_payload));
        let _guard = tracing::subscriber::set_default(subscriber);
        assert!(trace_span!(target: "tungstenite::protocol", "x").is_disabled());
        assert!(!debug_span!(target: "tungstenite::protocol", "x").is_disabled());
        assert!(!trace_span!("x").is_disabled());
    }
}
