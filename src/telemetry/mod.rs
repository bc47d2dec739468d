//! L1 · Tracing set-up, and what a gateway counts.
//!
//! Events go to stderr, never to stdout: stdout belongs to the remote process or to the `--json` line. What the
//! far side says may be in them, so every control byte is escaped on the way out (`escape`).

mod escape;
#[cfg(feature = "gateway")]
pub mod metrics;
#[cfg(feature = "gateway")]
mod process;

use std::io;
use std::str::FromStr;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

pub use escape::Escaped;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A line for people. The default.
    #[default]
    Text,
    /// One JSON object a line.
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

/// What is logged and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// A filter as `tracing_subscriber::EnvFilter` reads it: `info`, `warn,eice::tunnel=debug`, `off`. The
    /// default, the empty filter, logs nothing.
    pub filter: String,
    /// The form of a line. The default is text.
    pub format: Format,
}

impl Config {
    /// Logs what `filter` lets through, in `format`.
    #[must_use]
    pub fn new(filter: impl Into<String>, format: Format) -> Self {
        Self { filter: filter.into(), format }
    }
}

/// Tracing cannot be set up as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The filter cannot be read.
    #[error("{filter:?} is not a log filter")]
    Filter {
        /// The filter.
        filter: String,
        /// Why not.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The format has no such name.
    #[error("{0:?} is not a log format: it must be text or json")]
    Format(String),
    /// A subscriber is there already.
    #[error("logging is set up already")]
    AlreadySet,
}

/// How much of a refused text is told, in characters.
const MAX_EXCERPT: usize = 100;

/// Changes what is logged while the process runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(reload::Handle<EnvFilter, Registry>);

impl Log {
    /// Logs what `filter` lets through from now on.
    ///
    /// # Errors
    /// When the filter cannot be read.
    pub fn set_filter(&self, filter: &str) -> Result<(), Error> {
        let filter = read_filter(filter)?;
        // The subscriber is set for the whole process, so that it cannot be gone.
        let _ = self.0.reload(filter);
        Ok(())
    }
}

/// Whether `filter` can be read.
///
/// # Errors
/// [`Error::Filter`] when it cannot.
pub fn check_filter(filter: &str) -> Result<(), Error> {
    read_filter(filter).map(drop)
}

fn read_filter(filter: &str) -> Result<EnvFilter, Error> {
    let text = if filter.is_empty() { "off" } else { filter };
    EnvFilter::try_new(text)
        .map_err(|source| Error::Filter { filter: filter.chars().take(MAX_EXCERPT).collect(), source })
}

/// Starts logging to stderr for the whole process. To be called once, by the program and never by the library.
///
/// # Errors
/// When the filter cannot be read or a subscriber is set already.
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

/// Keeps out what no filter of a user may let in: at its most talkative the WebSocket library writes whole
/// messages, keystrokes and signed URLs among them.
fn shows_no_payload(metadata: &Metadata<'_>) -> bool {
    *metadata.level() < Level::TRACE || !metadata.target().starts_with("tungstenite")
}

/// Stderr with control bytes escaped.
fn stderr() -> Escaped<io::Stderr> {
    Escaped::new(io::stderr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_has_two_names() {
        assert_eq!("json".parse::<Format>().unwrap(), Format::Json);
        assert_eq!("text".parse::<Format>().unwrap(), Format::Text);
        assert!("JSON".parse::<Format>().is_err());
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_told() {
        let error = init(&Config::new("eice=loud", Format::Text)).unwrap_err();
        assert!(matches!(error, Error::Filter { .. }), "{error}");
    }
    #[test]
    fn whole_messages_of_the_websocket_library_are_never_let_in() {
        use tracing::{debug_span, trace_span};

        let subscriber = tracing_subscriber::registry().with(filter_fn(shows_no_payload));
        let _guard = tracing::subscriber::set_default(subscriber);
        assert!(trace_span!(target: "tungstenite::protocol", "x").is_disabled());
        assert!(!debug_span!(target: "tungstenite::protocol", "x").is_disabled());
        assert!(!trace_span!("x").is_disabled());
    }
}
