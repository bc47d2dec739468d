//! The tables of the file, a module each.

mod audit;
mod aws;
mod directory;
mod docker;
mod gateway;
mod limits;
mod log;
mod metrics;
mod platform;
mod ssh;
mod tls;
mod tunnel;

use std::time::Duration;

pub(super) use audit::audit;
pub(super) use aws::aws;
pub(super) use directory::{DATABASE_ONLY, directory};
pub(super) use docker::docker;
pub(super) use gateway::gateway;
pub(super) use limits::limits;
pub(super) use log::log;
pub(super) use metrics::metrics;
pub(super) use platform::platform;
pub(super) use ssh::ssh;
pub(super) use tls::tls;
pub(super) use tunnel::tunnel;

use super::reader::{Reader, Section};
use super::{HostKeys, Overrides};

/// The longest time that a setting may name: a day.
const MAX_SECONDS: u64 = 24 * 3600;

/// Sets a setting that is there.
fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

/// Sets a time in whole seconds that is there.
fn seconds(reader: &mut Reader<'_>, section: &mut Section, key: &str, to: &mut Duration) {
    set(to, reader.seconds(section, key, 1, MAX_SECONDS));
}

/// Sets a count that is there.
fn count(reader: &mut Reader<'_>, section: &mut Section, key: &str, max: u64, to: &mut usize) {
    let number = reader.number(section, key, 1, max);
    set(to, number.and_then(|number| usize::try_from(number).ok()));
}
