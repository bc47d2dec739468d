//! Exact origins and hosts of browsers.

use std::fmt;
use std::str::FromStr;

/// The longest origin or host that is parsed: a DNS name has at most 253 bytes.
const MAX_LEN: usize = 300;

/// The default port of a scheme, as written after a host.
const HTTP_PORT: &str = ":80";
const HTTPS_PORT: &str = ":443";

/// A web origin, `http(s)://host[:port]` (RFC 6454), normalized: lower case, without a default port. Two
/// origins are equal if scheme, host and port are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: &'static str,
    host: Host,
}

/// A text that is not an origin or a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOrigin {
    /// Not an origin.
    #[error("{0:?} is not an origin: it must read http://host, https://host or the same with :port")]
    Origin(String),
    /// Not a host.
    #[error("{0:?} is not a host: it must read host or host:port")]
    Host(String),
}

impl Origin {
    /// The host with its port, as a browser sends it in `Host`.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns whether `host` is its host. The scheme's default port may be written: the URI is the same (RFC 9110, section
    /// 4.2.3).
    #[must_use]
    pub fn is_at(&self, host: &Host) -> bool {
        let bare = host.0.strip_suffix(self.default_port()).unwrap_or(&host.0);
        *host == self.host || bare == self.host.0
    }

    fn default_port(&self) -> &'static str {
        if self.is_https() { HTTPS_PORT } else { HTTP_PORT }
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        let written = self.host.0.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        written.unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Returns whether it is on this machine: `localhost` or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host.0.as_str();
        match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => {
                address.parse().is_ok_and(|address: std::net::Ipv6Addr| address.is_loopback())
            }
            None => {
                let name = host.split_once(':').map_or(host, |(name, _)| name);
                name == "localhost"
                    || name.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback())
            }
        }
    }

    /// Returns whether pages of this origin came over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == "https"
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin::Origin(excerpt(text));
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => ("http", HTTP_PORT),
            "https" => ("https", HTTPS_PORT),
            _ => return Err(invalid()),
        };
        let host = rest.strip_suffix(default_port).unwrap_or(rest).parse().map_err(|_| invalid())?;
        Ok(Self { scheme, host })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)
    }
}

/// A value of the `Host` header: `host` or `host:port`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host(String);

impl FromStr for Host {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin::Host(excerpt(text));
        if text.len() > MAX_LEN {
            return Err(invalid());
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']').ok_or_else(invalid)?;
                address.parse::<std::net::Ipv6Addr>().map_err(|_| invalid())?;
                (
                    address,
                    if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or_else(invalid)?) },
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let named = text.starts_with('[')
            || (!host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')));
        let ported = port.is_none_or(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if named && ported { Ok(Self(text.to_ascii_lowercase())) } else { Err(invalid()) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much of a refused text is quoted.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_compare_scheme_host_and_port() {
        let origin = |text: &str| text.parse::<Origin>().unwrap();
        assert_eq!(origin("https://Acme.Example:443"), origin("HTTPS://acme.example"));
        assert_eq!(origin("http://[::1]:8080").to_string(), "http://[::1]:8080");
        assert_eq!(origin("http://[::1]:8080").port(), 8080);
        assert_eq!((origin("http://[::1]").port(), origin("https://a.example").port()), (80, 443));
        assert_ne!(origin("http://acme.example"), origin("https://acme.example"));
        assert_ne!(origin("http://acme.example:443"), origin("https://acme.example"));
        assert_ne!(origin("http://acme.example:8080"), origin("http://acme.example"));
        assert_ne!(origin("http://acme.example"), origin("http://www.acme.example"));
    }

    #[test]
    fn host_may_name_the_default_port() {
        let is_at = |origin: &str, host: &str| {
            origin.parse::<Origin>().unwrap().is_at(&host.parse::<Host>().unwrap())
        };
        for (origin, host) in [
            ("http://acme.example", "acme.example"),
            ("http://acme.example", "ACME.example:80"),
            ("http://acme.example:80", "acme.example"),
            ("https://acme.example", "acme.example:443"),
            ("https://acme.example:8443", "acme.example:8443"),
            ("http://[::1]", "[::1]:80"),
            ("http://acme.example:443", "acme.example:443"),
        ] {
            assert!(is_at(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("http://acme.example", "acme.example:443"),
            ("http://acme.example", "acme.example:8080"),
            ("http://acme.example", "acme.example:080"),
            ("https://acme.example", "acme.example:80"),
            ("https://acme.example:8443", "acme.example"),
            ("https://acme.example:8443", "acme.example:443"),
            ("http://acme.example:443", "acme.example"),
            ("http://acme.example", "www.acme.example:80"),
            ("http://acme.example", "acme.example.evil.test:80"),
        ] {
            assert!(!is_at(origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let is_loopback = |text: &str| text.parse::<Origin>().unwrap().is_loopback();
        for here in ["http://localhost", "http://localhost:3000", "http://127.0.0.2:1", "http://[::1]:80"] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in
            ["http://localhost.example", "http://10.0.0.1", "http://[::2]", "http://127.0.0.1.example"]
        {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn malformed_origins_are_refused() {
        for bad in [
            "",
            "null",
            "*",
            "acme.example",
            "https://",
            "https://*",
            "https://*.acme.example",
            "file://acme",
            "https://acme.example/",
            "https://acme.example/x",
            "https://a b",
            "https://user@acme.example",
            "https://acme.example:0",
            "https://acme.example:65536",
            "https://acme.example:",
            "https://acme.example:+1",
            "https://acme.example\r\n",
            "http://[::1",
            "http://[::1]x",
            "http://[zz]",
            "wss://acme.example",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad:?}");
        }
        assert!(format!("https://{}", "a".repeat(MAX_LEN + 1)).parse::<Origin>().is_err());
    }
}
