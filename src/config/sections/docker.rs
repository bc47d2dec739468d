//! `[docker]`: the engine of the containers beside the gateway.

use super::{Reader, seconds, set};
use crate::docker::engine::{Address, Config, Label};

/// What makes Docker's own programs speak TLS to an engine that is reached over TCP.
const TLS: [&str; 2] = ["DOCKER_TLS_VERIFY", "DOCKER_TLS"];

/// `[docker]`; `None` when no local workspace is opened. Unless that is said, an organisation's workspaces are instances
/// (docs/canvas.md, section 4).
pub(in crate::config) fn docker(reader: &mut Reader<'_>, serves_organisation: bool) -> Option<Config> {
    let mut section = reader.section("docker");
    let enabled = reader.flag(&mut section, "enabled");
    let is_enabled = enabled.unwrap_or(!serves_organisation);
    let mut config = Config::default();
    // Of an engine that is not used, its address is nobody's concern: the environment may be another program's.
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
    is_enabled.then_some(config)
}
