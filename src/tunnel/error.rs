//! Why a tunnel could not be opened, by stage and cause.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use eice_proto::handshake::{Rejection, RejectionKind};

use crate::model::{Fault, Stage};

use super::proxy::InvalidProxy;

/// What is wrong with the peer's TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// The certificate is for another host.
    #[error("its certificate is for another name")]
    Name,
    /// The certificate is not signed by a trusted root.
    #[error("its certificate is signed by an authority that is not trusted")]
    Untrusted,
    /// The certificate has expired, or is not valid yet.
    #[error("its certificate has expired or is not valid yet")]
    Expired,
    /// The certificate is invalid for another reason.
    #[error("its certificate is not valid")]
    Invalid,
    /// The peer does not speak TLS.
    #[error("it does not speak TLS")]
    NotTls,
    /// The peer ended the handshake.
    #[error("it ended the TLS handshake")]
    Refused,
}

/// The difference between the local clock and the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSkew {
    /// The local clock is ahead by this much.
    Ahead(Duration),
    /// The local clock is behind by this much.
    Behind(Duration),
}

impl ClockSkew {
    /// Returns the difference.
    #[must_use]
    pub fn size(self) -> Duration {
        match self {
            Self::Ahead(by) | Self::Behind(by) => by,
        }
    }
}

impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self {
            Self::Ahead(_) => "ahead of",
            Self::Behind(_) => "behind",
        };
        write!(f, "the local clock is {} s {way} the service's", self.size().as_secs())
    }
}

/// Why a proxy did not connect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyFault {
    /// It answered CONNECT with a status other than 2xx.
    #[error("it answered HTTP {status} {reason}")]
    Status {
        /// The status.
        status: u16,
        /// The reason phrase, truncated and escaped.
        reason: String,
    },
    /// It sent a SOCKS5 error reply.
    #[error("it answered: {}", socks_reply(*.0))]
    SocksReply(u8),
    /// It rejected the user name and password.
    #[error("it does not accept the user name and password")]
    Login,
    /// It requires a login method that was not offered.
    #[error("it accepts none of the offered ways to log in")]
    NoMethod,
    /// It violated its protocol.
    #[error("its answer cannot be understood: {0}")]
    Protocol(&'static str),
}

/// Returns the meaning of a SOCKS5 reply (RFC 1928, section 6).
fn socks_reply(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "connection not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "an unknown failure",
    }
}

/// A tunnel that could not be opened. `Display` prints one level; the cause is in `source()`. No text contains
/// a URL's query or a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A proxy setting is invalid.
    #[error("a proxy setting cannot be read")]
    ProxySetting(#[from] InvalidProxy),
    /// The CA bundle cannot be read.
    #[error("cannot read the CA bundle {path}", path = .path.display())]
    CaBundle {
        /// Its path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No root would be trusted.
    #[error("no trusted root certificate was found on this machine")]
    NoRoots,
    /// The TLS library rejected the configuration: a bug in this program.
    #[error("TLS could not be set up")]
    TlsSetup(#[source] Box<dyn StdError + Send + Sync>),
    /// The URL's authority is not a host name.
    #[error("{0:?} is not a host name")]
    Host(String),
    /// The name cannot be resolved.
    #[error("the name {host} cannot be resolved")]
    Resolve {
        /// The host.
        host: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The TCP connection failed.
    #[error("no connection to {host}:{port}")]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The cause, for the last address that was tried.
        #[source]
        source: io::Error,
    },
    /// The proxy refused to connect.
    #[error("the proxy {proxy} does not connect to {host}")]
    Proxy {
        /// The proxy, without user and password.
        proxy: String,
        /// The requested host.
        host: String,
        /// The cause.
        #[source]
        source: ProxyFault,
    },
    /// The connection to the proxy broke.
    #[error("the connection to the proxy {proxy} broke")]
    ProxyBroken {
        /// The proxy, without user and password.
        proxy: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// TLS to the proxy failed.
    #[error("TLS to the proxy {proxy} failed: {fault}")]
    ProxyTls {
        /// The proxy, without user and password.
        proxy: String,
        /// What is wrong.
        fault: TlsFault,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// TLS to the endpoint failed.
    #[error("TLS to {host} failed: {fault}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        fault: TlsFault,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The connection broke or was closed before the TLS handshake was done.
    #[error("{host} closed the connection in the TLS handshake")]
    TlsBroken {
        /// The host.
        host: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The connection broke or was closed before the upgrade was answered.
    #[error("{host} closed the connection in mid-handshake")]
    UpgradeBroken {
        /// The host.
        host: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The response to the upgrade is malformed or too long.
    #[error("the answer of {host} to the upgrade cannot be understood: {what}")]
    UpgradeMalformed {
        /// The host.
        host: String,
        /// What is wrong with it.
        what: String,
    },
    /// The service rejected the tunnel.
    #[error("the service refuses the tunnel{}", .skew.map(|skew| format!("; {skew}")).unwrap_or_default())]
    Rejected {
        /// The clock difference, if it may be the reason.
        skew: Option<ClockSkew>,
        /// The service's rejection.
        #[source]
        rejection: Box<Rejection>,
    },
    /// A stage took too long.
    #[error("{host} did not answer within {} s", .after.as_secs_f32())]
    Timeout {
        /// The stage.
        stage: Stage,
        /// The host that did not answer.
        host: String,
        /// The timeout.
        after: Duration,
    },
}

impl Error {
    /// Returns the stage that failed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Host(_) | Self::Resolve { .. } | Self::Connect { .. } => Stage::Tcp,
            Self::ProxySetting(_) | Self::Proxy { .. } | Self::ProxyBroken { .. } | Self::ProxyTls { .. } => {
                Stage::Proxy
            }
            Self::CaBundle { .. }
            | Self::NoRoots
            | Self::TlsSetup(_)
            | Self::Tls { .. }
            | Self::TlsBroken { .. } => Stage::Tls,
            Self::UpgradeBroken { .. } | Self::UpgradeMalformed { .. } | Self::Rejected { .. } => {
                Stage::Upgrade
            }
            Self::Timeout { stage, .. } => *stage,
        }
    }

    /// Returns who or what is at fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::ProxySetting(_) | Self::CaBundle { .. } | Self::NoRoots | Self::Host(_) => Fault::Usage,
            Self::TlsSetup(_) => Fault::Internal,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::TlsBroken { .. }
            | Self::UpgradeBroken { .. } => Fault::Network,
            Self::Proxy { .. } | Self::ProxyBroken { .. } => Fault::Proxy,
            Self::ProxyTls { .. } | Self::Tls { .. } => Fault::Tls,
            Self::UpgradeMalformed { .. } => Fault::Protocol,
            Self::Rejected { skew: Some(_), .. } => Fault::Credentials,
            Self::Rejected { rejection, .. } => rejection_fault(rejection),
            Self::Timeout { .. } => Fault::Timeout,
        }
    }

    /// Returns what the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::ProxySetting(error) => {
                format!(
                    "{} must read http://[user:password@]host:port, or https, socks5, socks5h",
                    error.name()
                )
            }
            Self::CaBundle { .. } => "name a PEM file of root certificates".into(),
            Self::NoRoots => "install ca-certificates, or name a CA bundle".into(),
            Self::Host(_) => "check the endpoint's DNS name".into(),
            Self::Resolve { .. } => "check the DNS set-up, and that the endpoint still exists".into(),
            Self::Connect { .. } => {
                "check the network and firewall towards port 443, or set HTTPS_PROXY if a proxy must be used"
                    .into()
            }
            Self::Proxy { source: ProxyFault::Status { status: 407, .. } | ProxyFault::Login, .. }
            | Self::Proxy { source: ProxyFault::NoMethod, .. } => {
                "put the proxy's user name and password into HTTPS_PROXY: http://user:password@host:port"
                    .into()
            }
            Self::Proxy { host, .. } => {
                format!("allow CONNECT to {host} in the proxy, or name it in NO_PROXY to go past the proxy")
            }
            Self::ProxyBroken { .. } => "check HTTPS_PROXY: is it a proxy, and of this kind?".into(),
            Self::ProxyTls { fault, .. } | Self::Tls { fault, .. } => match fault {
                TlsFault::Name => "check the DNS name: another server answers at it".into(),
                TlsFault::Untrusted => {
                    "if a proxy inspects TLS, add its root to the system's store or name it as CA bundle"
                        .into()
                }
                TlsFault::Expired => "check the local clock, then the server's certificate".into(),
                _ => "check that nothing between here and AWS answers in its place".into(),
            },
            Self::TlsBroken { .. } | Self::UpgradeBroken { .. } => {
                "a firewall or proxy may cut the connection; try again, then check the way to the endpoint"
                    .into()
            }
            Self::UpgradeMalformed { .. } => "check that the DNS name is that of an endpoint".into(),
            Self::Timeout { .. } => "check the network, the firewall and the proxy settings".into(),
            Self::Rejected { skew: Some(_), .. } => {
                "set the local clock (timedatectl set-ntp true), then try again".into()
            }
            Self::Rejected { rejection, .. } => return rejection_hint(rejection).map(str::to_owned),
            Self::TlsSetup(_) => return None,
        })
    }

    /// Returns the request id of the service's response.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Rejected { rejection, .. } => rejection.request_id.as_deref(),
            _ => None,
        }
    }
}

fn rejection_fault(rejection: &Rejection) -> Fault {
    match rejection.kind() {
        RejectionKind::InvalidParameter => Fault::Usage,
        RejectionKind::Denied => Fault::Denied,
        RejectionKind::Credentials => Fault::Credentials,
        RejectionKind::NotFound => Fault::NotFound,
        RejectionKind::Throttled => Fault::Quota,
        RejectionKind::Service => Fault::Network,
        _ if matches!(rejection.status, 401 | 403) => Fault::Denied,
        _ if rejection.status >= 500 => Fault::Network,
        _ => Fault::Protocol,
    }
}

fn rejection_hint(rejection: &Rejection) -> Option<&'static str> {
    if rejection.is_about_time() {
        return Some("check the local clock (timedatectl), then try again");
    }
    Some(match rejection.kind() {
        RejectionKind::Denied => {
            "allow ec2-instance-connect:OpenTunnel on arn:aws:ec2:REGION:ACCOUNT:instance-connect-endpoint/ENDPOINT in \
             the IAM policy of the caller; check its conditions on remotePort, privateIpAddress and maxTunnelDuration"
        }
        RejectionKind::Credentials => "check the access key and the session token: they may have expired",
        RejectionKind::NotFound => "check the endpoint's id, the region and the account",
        RejectionKind::Throttled => {
            "an endpoint carries 20 connections at a time: close some, or use another endpoint"
        }
        RejectionKind::Service => "try again in a minute",
        _ if rejection.status >= 500 => "try again in a minute",
        RejectionKind::InvalidParameter => {
            "the service accepts the ports 22 and 3389 only, and private addresses"
        }
        _ => return None,
    })
}
