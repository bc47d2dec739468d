//! `[docker]`: the engine of local workspaces.

use super::{SettingsReader, seconds, set};
use crate::docker::engine::{Address, EngineConfig, Label};

/// The variables that make Docker's own programs use TLS over TCP.
const TLS: [&str; 2] = ["DOCKER_TLS_VERIFY", "DOCKER_TLS"];

/// Reads `[docker]`; `None` opens no local workspaces. The second value is whether only the platform of August opens them:
/// before it, an organization's workspaces were instances. With a file, an organization must set `enabled`.
pub(in crate::config) fn docker(
    reader: &mut SettingsReader<'_>,
    serves_organization: bool,
    has_database: bool,
) -> (Option<EngineConfig>, bool) {
    let mut section = reader.section("docker");
    let enabled = reader.flag(&mut section, "enabled");
    let is_enabled = enabled.unwrap_or(!serves_organization || has_database);
    let needs_august = enabled.is_none() && serves_organization;
    let mut config = EngineConfig::default();
    // Ignore DOCKER_HOST when local workspaces are off; it may belong to another program.
    let variable = is_enabled.then_some("DOCKER_HOST");
    let address: Option<Address> = reader.value(&mut section, "host", variable);
    set(&mut config.address, address);
    let label: Option<Label> = reader.value(&mut section, "required_label", None);
    set(&mut config.required_label, label);
    seconds(reader, &mut section, "timeout_secs", &mut config.timeout);
    reader.end(section);
    if is_enabled
        && config.address.is_tcp()
        && let Some(name) = TLS.into_iter().find(|name| reader.env(name).is_some())
    {
        reader.problem(
            name,
            "TLS to a Docker engine is not supported: use its socket, unix:///var/run/docker.sock, or a proxy on this \
             machine that speaks TLS, and unset this",
        );
    }
    (is_enabled.then_some(config), needs_august)
}
