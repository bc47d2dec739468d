//! The address of an engine.

use std::fmt;
use std::str::FromStr;

/// The default port of an engine over plain TCP.
const DEFAULT_PORT: u16 = 2375;

/// The address of an engine, in the format of `DOCKER_HOST`. The default is `unix:///var/run/docker.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A local socket, by its absolute path.
    Unix(String),
    /// `host:port`, unencrypted: every client that can connect to it is root on the engine's machine.
    Tcp(String),
}

impl Default for Address {
    fn default() -> Self {
        Self::Unix("/var/run/docker.sock".into())
    }
}

impl Address {
    /// Returns whether it is a TCP address, for which Docker's own programs may use TLS.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }
}

/// A text that is not a usable address of an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// It requires TLS.
    #[error(
        "TLS to a Docker engine is not supported: use its socket, unix:///var/run/docker.sock, or a proxy on this \
         machine that speaks TLS"
    )]
    Tls,
    /// A scheme that only Docker's own programs support.
    #[error("{0}:// is not supported for a Docker engine: it must be unix:///path or tcp://host:port")]
    Scheme(String),
    /// It is not an address.
    #[error("{0:?} is not the address of a Docker engine: it must be unix:///path or tcp://host:port")]
    Malformed(String),
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let malformed = || InvalidAddress::Malformed(text.chars().take(200).collect());
        let (scheme, rest) = text.split_once("://").ok_or_else(malformed)?;
        match scheme {
            "unix" if rest.starts_with('/') && !rest.contains('\0') => Ok(Self::Unix(rest.to_owned())),
            "tcp" | "http" => {
                let authority: http::uri::Authority =
                    rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|_| malformed())?;
                // A password in the address must not appear in a log.
                if authority.as_str().contains('@') || authority.host().is_empty() {
                    return Err(InvalidAddress::Malformed(format!("{scheme}://…@…")));
                }
                let port = authority.port_u16().unwrap_or(DEFAULT_PORT);
                Ok(Self::Tcp(format!("{}:{port}", authority.host())))
            }
            "https" => Err(InvalidAddress::Tls),
            "ssh" | "npipe" | "fd" => Err(InvalidAddress::Scheme(scheme.to_owned())),
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Tcp(authority) => write!(f, "tcp://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_parses_docker_host() {
        for (text, shown) in [
            ("unix:///run/user/1000/docker.sock", "unix:///run/user/1000/docker.sock"),
            ("tcp://127.0.0.1:4243", "tcp://127.0.0.1:4243"),
            ("tcp://engine", "tcp://engine:2375"),
            ("http://[::1]:1/", "tcp://[::1]:1"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        assert_eq!(Address::default().to_string(), "unix:///var/run/docker.sock");
    }

    #[test]
    fn unsupported_address_is_rejected() {
        assert_eq!("https://engine:2376".parse::<Address>(), Err(InvalidAddress::Tls));
        assert_eq!("ssh://me@engine".parse::<Address>(), Err(InvalidAddress::Scheme("ssh".into())));
        for bad in
            ["", "/var/run/docker.sock", "unix://docker.sock", "tcp://", "tcp://a b", "tcp://a:b/c", "x://y"]
        {
            assert!(matches!(bad.parse::<Address>(), Err(InvalidAddress::Malformed(_))), "{bad:?}");
        }
        let message = "tcp://me:hunter2@engine".parse::<Address>().unwrap_err().to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }
}
