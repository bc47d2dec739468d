//! The configuration of a [`Connector`](super::Connector).

use std::net::IpAddr;
use std::time::Duration;

use crate::setters::setters;
use crate::ssh::{self, LoginKey};

/// The configuration of a [`Connector`](super::Connector).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectConfig {
    /// The SSH settings. The default suits terminals; [`ssh::Config::bulk`] suits copies.
    pub ssh: ssh::Config,
    /// How host keys are verified.
    pub host_keys: HostKeyMode,
    /// The age at which a pushed key is pushed again before it is used. The default is 45 s of the
    /// [`PUSHED_KEY_LIFETIME`](super::PUSHED_KEY_LIFETIME).
    pub max_key_age: Duration,
    /// How the instance is reached and authenticated to. The default is through an endpoint, with an ephemeral
    /// key.
    pub method: ConnectMethod,
}

impl Default for ConnectConfig {
    fn default() -> Self {
        Self {
            ssh: ssh::Config::default(),
            host_keys: HostKeyMode::default(),
            max_key_age: Duration::from_secs(45),
            method: ConnectMethod::default(),
        }
    }
}

impl ConnectConfig {
    /// Returns a configuration with the given SSH settings and host key mode.
    #[must_use]
    pub fn new(ssh: ssh::Config, host_keys: HostKeyMode) -> Self {
        Self { ssh, host_keys, ..Self::default() }
    }
}

/// How an instance's host key is verified. A key that contradicts a pinned one fails in every mode but the
/// last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyMode {
    /// Pins the first key. If GetConsoleOutput is permitted and responds in time, the console's keys are pinned
    /// instead, and a first key that contradicts them fails.
    #[default]
    TrustOnFirstUse,
    /// Pins the first key if the instance's console shows it, with all keys that it shows.
    Console,
    /// Accepts only keys that are pinned already.
    Strict,
    /// Accepts any key and pins none: an attacker between endpoint and instance can read and change everything.
    DangerAcceptAny,
}

/// How an SSH connection is made. The default is through an endpoint, with an ephemeral key that is pushed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectMethod {
    /// The instance's address, if it is reachable without an endpoint. The target's endpoint, private address
    /// and maximum duration are then ignored.
    pub direct: Option<IpAddr>,
    /// A key that the instance accepts already; no key is pushed then.
    pub key: Option<LoginKey>,
}

setters! {
    ConnectConfig {
        ssh: ssh::Config,
        host_keys: HostKeyMode,
        max_key_age: Duration,
        method: ConnectMethod,
    }
}

setters! {
    ConnectMethod {
        direct: Option<IpAddr>,
        key: Option<LoginKey>,
    }
}
