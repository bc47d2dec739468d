//! Host and port, as in a Host header.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The maximum length of a host name, in bytes (RFC 1035, section 2.3.4).
const MAX_HOST_LEN: usize = 253;

/// The default port of `wss`.
const DEFAULT_PORT: u16 = 443;

/// A host, and a port unless it is 443: exactly the value of the Host header, and so exactly what is signed.
///
/// `host:443` parses to `host`: 443 is the default of `wss`, clients leave it out of the header, and a signature
/// for `host:443` would not match one for `host`. Any name of letters, digits, `-`, `_` and `.` is accepted: the
/// service's names are opaque (protocol reference, section a). An IPv6 literal is in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    text: String,
    host_len: usize,
    port: u16,
}

/// A text that is not a host with an optional port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host name or an address with an optional port")]
#[non_exhaustive]
pub struct InvalidAuthority;

impl Authority {
    /// Returns the value of the Host header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the host to resolve and to verify the certificate against; an IPv6 literal without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.text.get(..self.host_len).unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// Returns the TCP port to connect to.
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
    fn host_and_port_are_split() {
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
    fn text_that_escapes_the_host_is_rejected() {
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
