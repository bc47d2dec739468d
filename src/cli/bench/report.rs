//! The results as one JSON document, described in docs/bench.md.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::compare;
use super::echo::Echo;
use super::machine::Machine;
use super::plan::Plan;
use super::round_trips::RoundTrips;
use super::stages::Runs;
use super::throughput::Throughput;

/// The document's schema version; it changes with each incompatible change.
const SCHEMA: &str = "eice-bench/1";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ended {
    Complete,
    Interrupted,
    TimedOut,
    Failed,
}

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) schema: &'static str,
    pub(super) eice: Program,
    pub(super) machine: Machine,
    /// Seconds since 1970.
    pub(super) began_unix: u64,
    pub(super) took_s: f64,
    pub(super) ended: Ended,
    /// The error, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    pub(super) target: Target,
    pub(super) plan: Plan,
    pub(super) time_to_prompt: TimeToPrompt,
    pub(super) round_trips: Option<RoundTrips>,
    pub(super) echo: Option<Echo>,
    pub(super) throughput: Option<Throughput>,
    pub(super) comparison: Option<compare::Report>,
}

/// The program that measures.
#[derive(Debug, Serialize)]
pub(super) struct Program {
    pub(super) version: &'static str,
    /// Whether it is an optimized build.
    pub(super) optimised: bool,
}

/// The measured target.
#[derive(Debug, Serialize)]
pub(super) struct Target {
    /// `instance` or `emulator`. Their figures are not comparable.
    pub(super) kind: &'static str,
    pub(super) instance: String,
    pub(super) os_user: String,
    pub(super) region: Option<String>,
}

/// From nothing to the first byte of the prompt, in this process.
#[derive(Debug, Default, Serialize)]
pub(super) struct TimeToPrompt {
    /// With a new client: nothing is cached.
    pub(super) cold: Runs,
    /// With the same client again: lookups are cached.
    pub(super) warm: Runs,
    /// The same without the delay, alternating with those above.
    pub(super) undelayed: Option<Undelayed>,
}

/// Runs without the delay.
#[derive(Debug, Default, Serialize)]
pub(super) struct Undelayed {
    pub(super) cold: Runs,
    pub(super) warm: Runs,
}

impl Report {
    /// Creates a document without figures.
    pub(super) fn new(target: Target, plan: Plan, machine: Machine) -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self {
            schema: SCHEMA,
            eice: Program { version: env!("CARGO_PKG_VERSION"), optimised: !cfg!(debug_assertions) },
            machine,
            began_unix: began.as_secs(),
            took_s: 0.0,
            ended: Ended::Complete,
            error: None,
            target,
            plan,
            time_to_prompt: TimeToPrompt::default(),
            round_trips: None,
            echo: None,
            throughput: None,
            comparison: None,
        }
    }
}
