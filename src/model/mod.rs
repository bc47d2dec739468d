//! L1 · The domain types and traits that the upper layers share.
//!
//! A [`Target`] names where a terminal opens, [`Connect`] turns it into a [`Host`], and a host opens
//! [`Terminal`]s. Each step is a named [`Stage`]; a failure is a [`StageError`] with the stage, the kind of
//! fault, and a hint.
//!
//! Targets describe instances, endpoints and containers as plain data: nothing here calls AWS, SSH, Docker or a
//! browser. Two terminals need no network and are here as well: [`local`], a process on a local PTY, and [`echo`],
//! which returns its input.

pub mod echo;
mod host;
mod io;
pub mod local;
mod name;
pub(crate) mod processes;
mod report;
mod size;
mod stage;
mod statement;
mod target;
#[cfg(test)]
mod unmoved;

pub use host::{Connect, Host, HostIds, NotReady, TerminalRequest};
pub use io::{Control, Exit, Input, Output, Signal, Terminal, TerminalEvent};
pub use name::InstanceName;
pub use report::{Check, Fix, Outcome, Report, Step, Subject};
pub use size::{InvalidSize, Size};
pub(crate) use stage::error_chain;
pub use stage::{Fault, Stage, StageError, StageEvent, StageObserver, StageState, escape_control, staged};
pub use statement::{Conditions, Statement, Texts};
pub use target::{
    Account, AddressFamily, ContainerName, ContainerShell, EndpointChoice, EnvName, InstanceTarget,
    InvalidTarget, LocalTarget, OsUser, Shell, Target,
};
#[cfg(test)]
pub(crate) use unmoved::Unmoved;
