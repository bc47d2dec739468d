//! `[gateway]`: listening, origins, cookies and proxies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use super::{Overrides, SettingsReader, seconds, set};
use crate::gateway::{Config, Host, Origin};

/// The default address: loopback, behind a proxy that terminates TLS.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// The most trusted proxies.
const MAX_PROXIES: u64 = 16;

/// The longest interval between two checks of an open terminal, in seconds: with the time for the answers, no terminal
/// outlives its revocation by 30 s.
const MAX_RECHECK_SECONDS: u64 = 25;

/// Reads `[gateway]`.
pub(in crate::config) fn gateway(
    reader: &mut SettingsReader<'_>,
    overrides: &Overrides,
) -> (SocketAddr, Config) {
    let mut section = reader.section("gateway");
    let listen = reader.value(&mut section, "listen", Some("EICE_LISTEN"));
    let listen = overrides.listen.or(listen).unwrap_or(DEFAULT_LISTEN);
    let origins: Option<Vec<Origin>> =
        reader.list(&mut section, "allowed_origins", Some("EICE_ALLOWED_ORIGINS"));
    // The platform's own variable is the last resort.
    let origins = origins.or_else(|| reader.list(&mut section, "allowed_origins", Some("CORS_ORIGINS")));
    let hosts: Option<Vec<Host>> = reader.list(&mut section, "allowed_hosts", Some("EICE_ALLOWED_HOSTS"));
    if origins.is_none() && hosts.is_none() {
        reader.problem(
            "gateway.allowed_origins",
            "it must name the origins of the pages that may open terminals",
        );
    }
    let mut config = Config::new(origins.unwrap_or_default());
    if let Some(hosts) = hosts {
        config.allowed_hosts = hosts;
    }
    set(&mut config.secure_cookie, reader.flag(&mut section, "secure_cookie"));
    set(&mut config.public_status, reader.flag(&mut section, "public_status"));
    seconds(reader, &mut section, "ping_interval_secs", &mut config.ping_interval);
    seconds(reader, &mut section, "dead_peer_timeout_secs", &mut config.dead_peer_timeout);
    seconds(reader, &mut section, "cookie_ttl_secs", &mut config.cookie_ttl);
    seconds(reader, &mut section, "drain_timeout_secs", &mut config.drain_timeout);
    let proxies = reader.number(&mut section, "trusted_proxies", 0, MAX_PROXIES);
    set(&mut config.trusted_proxies, proxies.and_then(|n| usize::try_from(n).ok()));
    let rate_limit: Option<NonZeroU32> = reader.value(&mut section, "rate_limit", Some("RATE_LIMIT"));
    set(&mut config.rate_limit, rate_limit.map(NonZeroU32::get));
    let rate_limit: Option<NonZeroU32> = reader.value(&mut section, "token_rate_limit", None);
    set(&mut config.token_rate_limit, rate_limit.map(NonZeroU32::get));
    set(&mut config.recheck_interval, reader.seconds(&mut section, "recheck_secs", 1, MAX_RECHECK_SECONDS));
    reader.end(section);
    (listen, config)
}
