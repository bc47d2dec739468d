//! How a tunnel is dialled.

use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::proxy::ProxyConfig;

use crate::setters::setters;

/// How a tunnel is dialled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Whether the system's roots, or those compiled in where it has none, are trusted. The default is yes.
    pub native_roots: bool,
    /// Roots that are trusted besides. The default is none.
    pub extra_ca: Vec<CertificateDer<'static>>,
    /// A PEM file of roots that are trusted besides. The default is none; aws-cli's tunnel knows no such
    /// setting.
    pub ca_bundle: Option<PathBuf>,
    /// The proxy. The default is none; [`ProxyConfig::from_lookup`] reads the environment.
    pub proxy: ProxyConfig,
    /// How long each stage may take.
    pub timeouts: Timeouts,
    /// How long the tunnel may be silent before a ping is sent. The default is 25 s; middleboxes cut idle
    /// connections after a minute or more. `None` sends none.
    pub keepalive: Option<Duration>,
    /// The `User-Agent` of the upgrade, as it stands in CloudTrail's `OpenTunnel` record.
    pub user_agent: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            native_roots: true,
            extra_ca: Vec::new(),
            ca_bundle: None,
            proxy: ProxyConfig::none(),
            timeouts: Timeouts::default(),
            keepalive: Some(Duration::from_secs(25)),
            user_agent: concat!("eice/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// How long each stage may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Name resolution and TCP, to the endpoint or to the proxy. The default is 10 s.
    pub tcp: Duration,
    /// The proxy's answer, its own TLS included. The default is 10 s.
    pub proxy: Duration,
    /// TLS to the endpoint. The default is 10 s.
    pub tls: Duration,
    /// The answer to the upgrade. The default is 10 s.
    pub upgrade: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let each = Duration::from_secs(10);
        Self { tcp: each, proxy: each, tls: each, upgrade: each }
    }
}

setters! {
    Config {
        native_roots: bool,
        extra_ca: Vec<CertificateDer<'static>>,
        ca_bundle: Option<PathBuf>,
        proxy: ProxyConfig,
        timeouts: Timeouts,
        keepalive: Option<Duration>,
        user_agent: String,
    }
}

setters! {
    Timeouts {
        tcp: Duration,
        proxy: Duration,
        tls: Duration,
        upgrade: Duration,
    }
}
