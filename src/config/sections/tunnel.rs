//! `[tunnel]`: roots, proxy and timeouts of tunnels.

use std::path::PathBuf;

use super::{MAX_SECONDS, SettingsReader, seconds};
use crate::aws::AwsConfig;
use crate::tunnel::{Config, Proxy, ProxyConfig};

/// Reads `[tunnel]`.
pub(in crate::config) fn tunnel(reader: &mut SettingsReader<'_>, aws: &AwsConfig) -> Config {
    let mut section = reader.section("tunnel");
    let ca_bundle = reader.value(&mut section, "ca_bundle", None);
    let ca_bundle = ca_bundle.or_else(|| aws.ca_bundle.clone());
    let ca_bundle = ca_bundle.or_else(|| reader.env("AWS_CA_BUNDLE").map(PathBuf::from));
    let mut config = Config { ca_bundle, ..Config::default() };
    let proxy: Option<String> = reader.value(&mut section, "proxy", None);
    let no_proxy: Option<String> = reader.value(&mut section, "no_proxy", None);
    let read = match proxy {
        // The file replaces the environment; `none` means no proxy.
        Some(proxy) if proxy == "none" => Ok(ProxyConfig::none()),
        Some(proxy) => Proxy::parse("tunnel.proxy", &proxy)
            .map(|proxy| ProxyConfig::new(proxy, no_proxy.as_deref().unwrap_or_default())),
        None => ProxyConfig::from_lookup(|name| reader.env(name)),
    };
    match read {
        Ok(proxy) => config.proxy = proxy,
        Err(error) => reader.problem(error.name().to_owned(), error.to_string()),
    }
    seconds(reader, &mut section, "tcp_timeout_secs", &mut config.timeouts.tcp);
    seconds(reader, &mut section, "proxy_timeout_secs", &mut config.timeouts.proxy);
    seconds(reader, &mut section, "tls_timeout_secs", &mut config.timeouts.tls);
    seconds(reader, &mut section, "upgrade_timeout_secs", &mut config.timeouts.upgrade);
    if let Some(keepalive) = reader.seconds(&mut section, "keepalive_secs", 1, MAX_SECONDS) {
        config.keepalive = Some(keepalive);
    }
    reader.end(section);
    config
}
