//! Selects the proxy for a host: reads the environment as curl does.

use std::fmt;
use std::net::IpAddr;

use zeroize::Zeroizing;

/// The default port of a proxy, as curl's; 443 for an `https://` proxy.
const DEFAULT_PORT: u16 = 1080;
/// The maximum length of a proxy URL or bypass list, in bytes.
const MAX_TEXT_LEN: usize = 64 << 10;
/// The maximum length of a user name or password in SOCKS5 (RFC 1929).
const MAX_SOCKS_TEXT: usize = 255;

/// An invalid proxy setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not a proxy URL: {reason}")]
pub struct InvalidProxy {
    name: String,
    reason: &'static str,
}

impl InvalidProxy {
    /// Returns the name of the setting.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// HTTP CONNECT.
    Http,
    /// HTTP CONNECT inside TLS.
    Https,
    /// SOCKS5 with names resolved locally.
    Socks5,
    /// SOCKS5 with names resolved by the proxy.
    Socks5h,
}

impl ProxyScheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }
}

/// A proxy. `Debug` and `Display` redact the user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(super) scheme: ProxyScheme,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<ProxyUser>,
}

/// The login for a proxy.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProxyUser {
    pub(super) name: String,
    pub(super) password: Zeroizing<String>,
}

impl Proxy {
    /// Parses `text`: `[scheme://][user[:password]@]host[:port]`; the default scheme is `http`.
    ///
    /// # Errors
    /// [`InvalidProxy`], which contains `name` but quotes nothing: the text may contain a password.
    pub fn parse(name: &str, text: &str) -> Result<Self, InvalidProxy> {
        let bad = |reason| InvalidProxy { name: name.to_owned(), reason };
        if text.len() > MAX_TEXT_LEN {
            return Err(bad("it is too long"));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyScheme::Http,
            "https" => ProxyScheme::Https,
            "socks5" => ProxyScheme::Socks5,
            "socks5h" => ProxyScheme::Socks5h,
            _ => return Err(bad("the scheme must be http, https, socks5 or socks5h")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(read_user(user).ok_or_else(|| bad("its user is malformed"))?), host),
            None => (None, authority),
        };
        let default_port = if scheme == ProxyScheme::Https { 443 } else { DEFAULT_PORT };
        let (host, port) = split_port(host).ok_or_else(|| bad("its port is malformed"))?;
        if host.is_empty() || host.bytes().any(|b| !b.is_ascii_graphic()) {
            return Err(bad("it names no host"));
        }
        if let Some(user) = &user
            && matches!(scheme, ProxyScheme::Socks5 | ProxyScheme::Socks5h)
            && (user.name.len() > MAX_SOCKS_TEXT || user.password.len() > MAX_SOCKS_TEXT)
        {
            return Err(bad("SOCKS5 carries at most 255 bytes of user name and of password"));
        }
        Ok(Self { scheme, host: host.to_owned(), port: port.unwrap_or(default_port), user })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracket = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{}{}{}:{}", self.scheme.name(), bracket.0, self.host, bracket.1, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.to_string())
            .field("has_user", &self.user.is_some())
            .finish_non_exhaustive()
    }
}

fn read_user(text: &str) -> Option<ProxyUser> {
    let (name, password) = text.split_once(':').unwrap_or((text, ""));
    Some(ProxyUser { name: percent_decode(name)?, password: Zeroizing::new(percent_decode(password)?) })
}

/// Decodes `%XX` in `text`; `None` if the result is not UTF-8 or contains a control character, which could forge
/// a header.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Splits `host[:port]`, without the brackets of an IPv6 literal; `None` if the port is invalid.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match text.rsplit_once(':') {
            // More than one colon without brackets: an IPv6 literal without a port.
            Some((host, _)) if host.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    match port {
        Some(port) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port != 0).map(|port| (host, Some(port)))
        }
        Some(_) => None,
        None => Some((host, None)),
    }
}

/// Which hosts are reached through which proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    proxy: Option<Proxy>,
    bypass: Vec<Bypass>,
}

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bypass {
    /// Every host.
    All,
    /// A domain and its subdomains, lower case, without the leading dot; with a port if the entry has one.
    Name(String, Option<u16>),
    /// An address, or a network if `bits` is less than its full length.
    Network { address: IpAddr, bits: u8, port: Option<u16> },
}

impl ProxyConfig {
    /// Uses no proxy.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Uses `proxy` for all hosts except those in `no_proxy`.
    #[must_use]
    pub fn new(proxy: Proxy, no_proxy: &str) -> Self {
        Self { proxy: Some(proxy), bypass: read_bypass(no_proxy) }
    }

    /// Reads the environment through `lookup` as curl does for an `https` URL: `https_proxy`, `HTTPS_PROXY`,
    /// `all_proxy`, `ALL_PROXY`, the first that is not empty; `no_proxy` before `NO_PROXY`. `http_proxy` is ignored
    /// because a tunnel is TLS.
    ///
    /// # Errors
    /// [`InvalidProxy`] if the selected variable is invalid.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidProxy> {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| Some((*name, lookup(name).filter(|value| !value.is_empty())?)))
        };
        let Some((name, url)) = first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else {
            return Ok(Self::none());
        };
        let proxy = Proxy::parse(name, &url)?;
        let no_proxy = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
        Ok(Self::new(proxy, &no_proxy))
    }

    /// Returns the proxy for `host`, a name or an address without brackets, at `port`.
    #[must_use]
    pub fn proxy_for(&self, host: &str, port: u16) -> Option<&Proxy> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        let bypassed = self.bypass.iter().any(|entry| match entry {
            Bypass::All => true,
            Bypass::Name(name, at) => {
                address.is_none()
                    && at.is_none_or(|at| at == port)
                    && host
                        .strip_suffix(name.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Bypass::Network { address: network, bits, port: at } => {
                at.is_none_or(|at| at == port)
                    && address.is_some_and(|address| within(address, *network, *bits))
            }
        });
        self.proxy.as_ref().filter(|_| !bypassed)
    }
}

/// Parses a `NO_PROXY` list: entries separated by commas or blanks; invalid entries match nothing.
fn read_bypass(list: &str) -> Vec<Bypass> {
    if list.trim() == "*" {
        return vec![Bypass::All];
    }
    let list = if list.len() > MAX_TEXT_LEN { "" } else { list };
    list.split(|c: char| c == ',' || c.is_ascii_whitespace())
        .filter(|entry| !entry.is_empty())
        .filter_map(read_entry)
        .collect()
}

fn read_entry(entry: &str) -> Option<Bypass> {
    if let Some((network, bits)) = entry.split_once('/') {
        let address: IpAddr = network.trim_matches(['[', ']']).parse().ok()?;
        let bits: u8 = bits.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        return (bits <= most).then_some(Bypass::Network { address, bits, port: None });
    }
    let (host, port) = split_port(entry)?;
    if let Ok(address) = host.parse::<IpAddr>() {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        return Some(Bypass::Network { address, bits, port });
    }
    let name = host.trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
    (!name.is_empty()).then_some(Bypass::Name(name, port))
}

/// Returns whether `address` is in `network`, of which the first `bits` bits count.
fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            a.to_bits() & mask == n.to_bits() & mask
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            a.to_bits() & mask == n.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
