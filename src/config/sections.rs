//! The tables of the file, one module each.

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

use super::reader::{Section, SettingsReader};
use super::{HostKeys, Overrides};

/// The longest time of any setting, in seconds: a day.
const MAX_SECONDS: u64 = 24 * 3600;

/// Replaces `to` if there is a value.
fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

/// Reads a time in whole seconds.
fn seconds(reader: &mut SettingsReader<'_>, section: &mut Section, key: &str, to: &mut Duration) {
    set(to, reader.seconds(section, key, 1, MAX_SECONDS));
}

/// Reads a count.
fn count(reader: &mut SettingsReader<'_>, section: &mut Section, key: &str, max: u64, to: &mut usize) {
    let number = reader.number(section, key, 1, max);
    set(to, number.and_then(|number| usize::try_from(number).ok()));
}
