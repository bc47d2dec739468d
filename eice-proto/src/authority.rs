//! Host and port, as a Host header has them.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The longest host name that is taken, in bytes (RFC 1035, section 2.3.4).
const MAX_HOST_LEN: usize = 253;

/// The port of `wss` when none is named.
const DEFAULT_PORT: u16 = 443;

/// A host, and a port unless it is 443: exactly what goes into the Host header, and so exactly what is signed.
///
/// `host:443` parses to `host`: 443 is the default of `wss`, clients leave it out of the header, and a signature
/// made for `host:443` would not fit one made for `host`. Whatever a DNS name holds is let through if it is made of
/// letters, digits, `-`, `_` and `.`: the service's names are opaque (protocol reference, section a). An IPv6
/// literal stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    text: String,
    host_len: usize,
    port: u16,
}

/// A text that is not a host with an optional port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host name or an address with an optional port")]
pub struct InvalidAuthority;

impl Authority {
    /// As in the Host header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name to resolve and to ask the certificate for; an IPv6 literal without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.text.get(..self.host_len).unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The TCP port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Authority {
    type Err = InvalidAuthority;

    fn from_str(text: &str) -> Result<Self, InvalidAuthority> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port_number(port).ok_or(InvalidAuthority)?),
            _ => (text, DEFAULT_PORT),
        };
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(literal) => literal.parse::<Ipv6Addr>().is_ok(),
            None => {
                let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
                !host.is_empty() && host.len() <= MAX_HOST_LEN && host.bytes().all(is_allowed)
            }
        };
        if !is_host {
            return Err(InvalidAuthority);
        }
        let text = if port == DEFAULT_PORT { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self { text, host_len: host.len(), port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn port_number(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok())?.filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_header_text() {
        for (text, header, host, port) in [
            ("eice-1.example.com", "eice-1.example.com", "eice-1.example.com", 443),
            ("eice-1.example.com:443", "eice-1.example.com", "eice-1.example.com", 443),
            ("127.0.0.1:9443", "127.0.0.1:9443", "127.0.0.1", 9443),
            ("[::1]", "[::1]", "::1", 443),
            ("[::1]:8443", "[::1]:8443", "::1", 8443),
        ] {
            let authority: Authority = text.parse().unwrap();
            assert_eq!((authority.as_str(), authority.host(), authority.port()), (header, host, port));
        }
    }

    #[test]
    fn what_could_leave_the_host_is_refused() {
        for bad in [
            "",
            ":443",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "user@a",
            "a\r\nX: y",
            "::1",
            "[::1",
            "[a]",
            "a:1:2",
            "h\u{e9}",
            "a%41",
            "[::1]x:1",
        ] {
            assert!(bad.parse::<Authority>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(254).parse::<Authority>().is_err());
    }
}
