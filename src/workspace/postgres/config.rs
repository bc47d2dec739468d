//! The settings of a directory in a database.

use std::time::Duration;

use eice_proto::{InstanceId, MaxDuration};

use super::DatabaseUrl;
use crate::model::{EndpointChoice, InstanceTarget, OsUser};
use crate::setters::setters;

/// The settings of a directory in the platform's database. [`Config::new`] has every one but the URL at its default.
///
/// What a question may take in all, [`Self::acquire_timeout`] and [`Self::query_timeout`] and half a second for each, is
/// meant to stay below the 5 s after which the gateway takes silence for an outage.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where the database is, and how to get in.
    pub url: DatabaseUrl,
    /// How many connections are open at most. The default is 5.
    pub max_connections: u32,
    /// How long to wait for a connection. The default is 2 s.
    pub acquire_timeout: Duration,
    /// How long a query may take; the server cancels it then (`statement_timeout`). The default is 1.5 s.
    pub query_timeout: Duration,
    /// Whether rows are written to `activity_logs`. The default is yes.
    pub note_activity: bool,
    /// Whether a token's `last_used_at` is written. The default is yes.
    pub note_last_used: bool,
    /// How the instances are reached: a row names the instance and no more.
    pub instance: InstanceDefaults,
}

impl Config {
    /// The default settings for the database at `url`.
    #[must_use]
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            max_connections: 5,
            acquire_timeout: Duration::from_secs(2),
            query_timeout: Duration::from_millis(1500),
            note_activity: true,
            note_last_used: true,
            instance: InstanceDefaults::default(),
        }
    }
}

/// What all instances have in common that a row says nothing of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceDefaults {
    /// The login name. The default is the platform's, `ubuntu`.
    pub os_user: OsUser,
    /// The region. The default, `None`, is what the credential chain says.
    pub region: Option<String>,
    /// The endpoint. The default is one in the instance's subnet, else the first in its VPC.
    pub endpoint: EndpointChoice,
    /// The tunnels' longest life. The default, `None`, is the service's.
    pub max_duration: Option<MaxDuration>,
}

/// The login name of the platform's instances (docs/canvas.md, section 4).
const OS_USER: &str = "ubuntu";

impl Default for InstanceDefaults {
    fn default() -> Self {
        Self {
            os_user: OS_USER.parse().unwrap_or_default(),
            region: None,
            endpoint: EndpointChoice::default(),
            max_duration: None,
        }
    }
}

impl InstanceDefaults {
    /// `instance`, and how it is reached.
    pub(super) fn target(&self, instance: InstanceId) -> InstanceTarget {
        let mut target = InstanceTarget::new(instance);
        target.os_user = self.os_user.clone();
        target.region.clone_from(&self.region);
        target.endpoint = self.endpoint.clone();
        target.max_duration = self.max_duration;
        target
    }
}

setters! {
    Config {
        url: DatabaseUrl,
        max_connections: u32,
        acquire_timeout: Duration,
        query_timeout: Duration,
        note_activity: bool,
        note_last_used: bool,
        instance: InstanceDefaults,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_user_is_ubuntu() {
        assert_eq!(InstanceDefaults::default().os_user.as_str(), OS_USER);
    }
}
