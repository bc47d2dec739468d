//! `[metrics]`: the address of the metrics.

use std::net::SocketAddr;

use super::{SettingsReader, set};
use crate::gateway::Config;

/// Reads `[metrics]` and returns the separate address, if any; the gateway's own then does not serve them.
pub(in crate::config) fn metrics(reader: &mut SettingsReader<'_>, config: &mut Config) -> Option<SocketAddr> {
    let mut section = reader.section("metrics");
    set(&mut config.metrics, reader.flag(&mut section, "enabled"));
    let listen: Option<SocketAddr> = reader.value(&mut section, "listen", Some("EICE_METRICS_LISTEN"));
    reader.end(section);
    let listen = listen.filter(|_| config.metrics);
    config.metrics &= listen.is_none();
    listen
}
