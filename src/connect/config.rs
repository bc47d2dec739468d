//! How a [`Connector`](super::Connector) connects.

use std::time::Duration;

use super::direct::Approach;
use crate::setters::setters;
use crate::ssh;

/// How a [`Connector`](super::Connector) connects.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How SSH is tuned. The default is for terminals; [`ssh::Config::bulk`] is for copies.
    pub ssh: ssh::Config,
    /// What is done about host keys.
    pub host_keys: HostKeyMode,
    /// A key that was pushed longer ago than this is pushed again before it is used. The default is 45 s, out of
    /// [`PUSHED_KEY_LIFETIME`](super::PUSHED_KEY_LIFETIME).
    pub max_key_age: Duration,
    /// How the instance is reached and who logs in. The default is through an endpoint, with a fresh key.
    pub approach: Approach,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ssh: ssh::Config::default(),
            host_keys: HostKeyMode::default(),
            max_key_age: Duration::from_secs(45),
            approach: Approach::default(),
        }
    }
}

impl Config {
    /// SSH tuned by `ssh`, host keys treated by `host_keys`.
    #[must_use]
    pub fn new(ssh: ssh::Config, host_keys: HostKeyMode) -> Self {
        Self { ssh, host_keys, ..Self::default() }
    }
}

/// What is done about an instance's host key. One that contradicts a pinned key fails in any but the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyMode {
    /// The first key that is seen is pinned. Where GetConsoleOutput is permitted and answers in time, the console's
    /// keys are pinned instead, and a first key that they contradict fails.
    #[default]
    TrustOnFirstUse,
    /// The first key is pinned when it is one of those that the instance's console shows, with all of them.
    Console,
    /// Only keys that are pinned already pass.
    Strict,
    /// Any key passes and none is pinned: whoever sits between endpoint and instance reads and writes along.
    DangerAcceptAny,
}

setters! {
    Config {
        ssh: ssh::Config,
        host_keys: HostKeyMode,
        max_key_age: Duration,
        approach: Approach,
    }
}
