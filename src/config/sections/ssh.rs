//! `[ssh]`: host keys.

use std::str::FromStr;

use super::{HostKeys, SettingsReader};
use crate::ssh::HostKeyPolicy;

/// A policy, parsed from its name.
struct PolicyName(HostKeyPolicy);

impl FromStr for PolicyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tofu" => Ok(Self(HostKeyPolicy::TrustOnFirstUse)),
            "console" => Ok(Self(HostKeyPolicy::Witnessed)),
            "strict" => Ok(Self(HostKeyPolicy::Strict)),
            other => Err(format!("{other:?} is not a host key policy: it must be tofu, console or strict")),
        }
    }
}

/// Reads `[ssh]`.
pub(in crate::config) fn ssh(reader: &mut SettingsReader<'_>) -> HostKeys {
    let mut section = reader.section("ssh");
    let policy: Option<PolicyName> = reader.value(&mut section, "host_key", Some("EICE_HOST_KEY"));
    let file = reader.value(&mut section, "host_keys", Some("EICE_HOST_KEYS"));
    reader.end(section);
    let policy = policy.map(|name| name.0).unwrap_or_default();
    if policy == HostKeyPolicy::Strict && file.is_none() {
        reader.problem("ssh.host_keys", "with host_key = \"strict\" it must name the file of the known keys");
    }
    HostKeys { policy, file }
}
