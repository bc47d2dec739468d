//! `[metrics]`: where what is counted can be read.

use std::net::SocketAddr;

use super::{Reader, set};
use crate::gateway::Config;

/// `[metrics]`: the address of their own, where they have one; then the gateway's own address does not have them.
pub(in crate::config) fn metrics(reader: &mut Reader<'_>, config: &mut Config) -> Option<SocketAddr> {
    let mut section = reader.section("metrics");
    set(&mut config.metrics, reader.flag(&mut section, "enabled"));
    let listen: Option<SocketAddr> = reader.value(&mut section, "listen", Some("EICE_METRICS_LISTEN"));
    reader.end(section);
    let listen = listen.filter(|_| config.metrics);
    config.metrics &= listen.is_none();
    listen
}
