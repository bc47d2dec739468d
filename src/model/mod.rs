//! L1 · The domain types and traits that the upper layers share.
//!
//! A [`Target`] names where a terminal opens, [`Connect`] turns it into a [`Host`], and a host opens
//! [`Terminal`]s. Each step is a named [`Stage`]; a failure is a [`StageError`] with the stage, the kind of
//! fault, and a hint.
//!
//! Targets describe instances, endpoints and containers as plain data: nothing here calls AWS, SSH, Docker or a
//! browser. Two terminals need no network and are here as well: [`local`], a process on a local PTY, and [`echo`],
//! which returns its input.

mod default_signals;
pub mod echo;
mod host;
mod io;
#[cfg(any(feature = "client", feature = "emulator"))]
pub mod local;
mod name;
#[cfg(test)]
mod noop_control;
#[cfg(any(feature = "client", feature = "emulator"))]
pub(crate) mod processes;
mod report;
mod size;
mod stage;
mod stage_timer;
mod statement;
mod target;

pub use default_signals::restore_default_signals;
pub use host::{Connect, Host, HostIds, NotReady, TerminalRequest};
pub use io::{Control, Exit, Input, Output, Signal, Terminal, TerminalEvent};
pub use name::InstanceName;
#[cfg(test)]
pub(crate) use noop_control::NoopControl;
pub use report::{Check, CheckOutcome, CheckResult, Fix, Report, Subject};
pub use size::{InvalidSize, Size};
#[cfg(any(feature = "cli", test))]
pub(crate) use stage::error_chain;
pub use stage::{Fault, Stage, StageError, StageEvent, StageObserver, StageState, escape_control};
pub use stage_timer::{StageTimer, staged};
pub use statement::{Conditions, OneOrMany, Statement};
pub use target::{
    Account, AddressFamily, ContainerName, ContainerShell, EndpointChoice, EnvName, InstanceTarget,
    InvalidTarget, LocalTarget, OsUser, Shell, Target,
};
