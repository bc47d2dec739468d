//! The settings of a dialer.

use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::proxy::ProxyConfig;

use crate::setters::setters;

/// The settings of a dialer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Whether to trust the system's roots, or the compiled-in ones if it has none. The default is true.
    pub native_roots: bool,
    /// Additional trusted roots. The default is none.
    pub extra_ca: Vec<CertificateDer<'static>>,
    /// A PEM file with additional trusted roots. The default is none; aws-cli's tunnel has no such setting.
    pub ca_bundle: Option<PathBuf>,
    /// The proxy. The default is none; [`ProxyConfig::from_lookup`] reads the environment.
    pub proxy: ProxyConfig,
    /// The timeout of each stage.
    pub timeouts: DialTimeouts,
    /// How long the tunnel may be idle before a ping is sent. The default is 25 s, because middleboxes cut idle
    /// connections after a minute or more. `None` disables pings.
    pub keepalive: Option<Duration>,
    /// The `User-Agent` of the upgrade, which appears in CloudTrail's `OpenTunnel` record.
    pub user_agent: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            native_roots: true,
            extra_ca: Vec::new(),
            ca_bundle: None,
            proxy: ProxyConfig::none(),
            timeouts: DialTimeouts::default(),
            keepalive: Some(Duration::from_secs(25)),
            user_agent: concat!("eice/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The timeout of each stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DialTimeouts {
    /// Name resolution and TCP, to the endpoint or to the proxy. The default is 10 s.
    pub tcp: Duration,
    /// The proxy's response, including TLS to the proxy. The default is 10 s.
    pub proxy: Duration,
    /// TLS to the endpoint. The default is 10 s.
    pub tls: Duration,
    /// The response to the upgrade. The default is 10 s.
    pub upgrade: Duration,
}

impl Default for DialTimeouts {
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
        timeouts: DialTimeouts,
        keepalive: Option<Duration>,
        user_agent: String,
    }
}

setters! {
    DialTimeouts {
        tcp: Duration,
        proxy: Duration,
        tls: Duration,
        upgrade: Duration,
    }
}
