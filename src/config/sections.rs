//! The tables of the file, one function each.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::reader::{Reader, Section};
use super::{HostKeys, Overrides};
use crate::gateway::{Host, Origin};
use crate::ssh::HostKeyPolicy;
use crate::tunnel::{Proxy, ProxyConfig};
use crate::workspace::{FileDirectory, FileError};
use crate::{aws, gateway as browser, tunnel as dialler};

/// The longest time that a setting may name: a day.
const MAX_SECONDS: u64 = 24 * 3600;

/// Where a gateway listens when nobody says: TLS ends in front of it.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// `[gateway]`
pub(super) fn gateway(reader: &mut Reader<'_>, overrides: &Overrides) -> (SocketAddr, browser::Config) {
    let mut section = reader.section("gateway");
    let listen = reader.value(&mut section, "listen", Some("EICE_LISTEN"));
    let listen = overrides.listen.or(listen).unwrap_or(DEFAULT_LISTEN);
    let origins: Option<Vec<Origin>> =
        reader.list(&mut section, "allowed_origins", Some("EICE_ALLOWED_ORIGINS"));
    let hosts: Option<Vec<Host>> = reader.list(&mut section, "allowed_hosts", Some("EICE_ALLOWED_HOSTS"));
    if origins.is_none() && hosts.is_none() {
        reader.problem(
            "gateway.allowed_origins",
            "it must name the origins of the pages that may open terminals",
        );
    }
    let mut config = browser::Config::new(origins.unwrap_or_default());
    if let Some(hosts) = hosts {
        config.allowed_hosts = hosts;
    }
    set(&mut config.secure_cookie, reader.flag(&mut section, "secure_cookie"));
    set(&mut config.public_status, reader.flag(&mut section, "public_status"));
    seconds(reader, &mut section, "ping_interval_secs", &mut config.ping_interval);
    seconds(reader, &mut section, "dead_peer_timeout_secs", &mut config.dead_peer_timeout);
    seconds(reader, &mut section, "cookie_ttl_secs", &mut config.cookie_ttl);
    seconds(reader, &mut section, "drain_timeout_secs", &mut config.drain_timeout);
    seconds(reader, &mut section, "connect_timeout_secs", &mut config.session.connect_timeout);
    count(reader, &mut section, "max_message_bytes", 1 << 30, &mut config.max_message);
    count(reader, &mut section, "max_connections", 1 << 20, &mut config.max_connections);
    count(reader, &mut section, "max_sessions", 1 << 20, &mut config.session.max_sessions);
    reader.end(section);
    (listen, config)
}

/// `[aws]`. What is absent is taken from where every AWS tool takes it.
pub(super) fn aws(reader: &mut Reader<'_>) -> aws::Config {
    let mut section = reader.section("aws");
    let mut text = |key: &str| reader.value(&mut section, key, None);
    let mut config = aws::Config {
        region: text("region"),
        profile: text("profile"),
        endpoint_url: text("endpoint_url"),
        endpoint_urls: aws::EndpointUrls {
            ec2: text("endpoint_url_ec2"),
            ec2_instance_connect: text("endpoint_url_ec2_instance_connect"),
            sts: text("endpoint_url_sts"),
        },
        ..aws::Config::default()
    };
    config.ca_bundle = reader.value(&mut section, "ca_bundle", None);
    config.use_fips = reader.flag(&mut section, "use_fips");
    config.use_dualstack = reader.flag(&mut section, "use_dualstack");
    reader.end(section);
    config
}

/// `[tunnel]`
pub(super) fn tunnel(reader: &mut Reader<'_>, aws: &aws::Config) -> dialler::Config {
    let mut section = reader.section("tunnel");
    let ca_bundle = reader.value(&mut section, "ca_bundle", None);
    let ca_bundle = ca_bundle.or_else(|| aws.ca_bundle.clone());
    let ca_bundle = ca_bundle.or_else(|| reader.env("AWS_CA_BUNDLE").map(PathBuf::from));
    let mut config = dialler::Config { ca_bundle, ..dialler::Config::default() };
    let proxy: Option<String> = reader.value(&mut section, "proxy", None);
    let no_proxy: Option<String> = reader.value(&mut section, "no_proxy", None);
    let read = match proxy {
        // Said here, so the environment is not asked; `none` is how to say that there is none.
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

/// A policy by its name.
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

/// `[ssh]`
pub(super) fn ssh(reader: &mut Reader<'_>) -> HostKeys {
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

/// `[directory]`: a file, or the same text in place.
pub(super) fn directory(reader: &mut Reader<'_>, overrides: &Overrides) -> Option<FileDirectory> {
    let mut section = reader.section("directory");
    let file: Option<PathBuf> = reader.value(&mut section, "file", Some("EICE_DIRECTORY"));
    let text: Option<String> = reader.value(&mut section, "text", None);
    reader.end(section);
    let (place, read) = match (overrides.directory.clone().or(file), text) {
        (Some(_), Some(_)) => {
            reader.problem("directory", "it must have file or text, not both");
            return None;
        }
        (Some(file), None) => (file.display().to_string(), FileDirectory::load(Path::new(&file))),
        (None, Some(text)) => ("directory.text".to_owned(), FileDirectory::parse(&text)),
        (None, None) => {
            reader.problem("directory.file", "it must name the file of workspaces and tokens");
            return None;
        }
    };
    match read {
        Ok(directory) => Some(directory),
        Err(FileError::Invalid { problems }) => {
            for problem in problems {
                reader.problem(format!("{place}, line {}", problem.line), problem.message);
            }
            None
        }
        Err(FileError::Read { source, .. }) => {
            reader.problem(place, format!("it cannot be read: {source}"));
            None
        }
    }
}

/// Sets a setting that is there.
fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

/// Sets a time in whole seconds that is there.
fn seconds(reader: &mut Reader<'_>, section: &mut Section, key: &str, to: &mut Duration) {
    set(to, reader.seconds(section, key, 1, MAX_SECONDS));
}

/// Sets a count that is there.
fn count(reader: &mut Reader<'_>, section: &mut Section, key: &str, max: u64, to: &mut usize) {
    let number = reader.number(section, key, 1, max);
    set(to, number.and_then(|number| usize::try_from(number).ok()));
}
