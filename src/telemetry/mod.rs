//! L1 · Tracing set-up, and the metrics of a gateway.
//!
//! Events go to stderr, never to stdout: stdout belongs to the remote process or to the `--json` line. Events may
//! contain text from the remote, so every control byte is escaped when it is written (`escape`).

mod escape;
#[cfg(feature = "cli")]
mod log;
#[cfg(feature = "gateway")]
pub mod metrics;
#[cfg(feature = "gateway")]
mod process;

pub use escape::Escaped;
#[cfg(feature = "cli")]
pub use log::{Config, Error, Format, Log, check_filter, init};
