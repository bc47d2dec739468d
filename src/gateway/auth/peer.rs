//! The peer of a request, behind trusted proxies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::FORWARDED;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName};

use super::headers::come_from_another_site;
use crate::gateway::{State, TrustedNetwork};

pub(in crate::gateway) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The peer, by the settings at the time of the request; a request extension.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway) struct Peer(IpAddr);

impl Peer {
    /// Returns the peer behind `trusted_proxies` proxies.
    ///
    /// Each proxy appends its client to `X-Forwarded-For`, so that with N proxies the N-th entry from the right is the
    /// outermost proxy's, and a client may write what is left of it. Without a valid entry there, the peer is the
    /// connection's.
    pub(in crate::gateway) fn of(parts: &Parts, trusted_proxies: usize) -> Self {
        let forwarded = trusted_proxies.checked_sub(1).and_then(|n| nth_from_the_right(&parts.headers, n));
        Self(forwarded.unwrap_or_else(|| connected(&parts.extensions)).to_canonical())
    }
}

/// Returns the peer of the request.
pub(in crate::gateway) fn peer(parts: &Parts) -> IpAddr {
    peer_of(&parts.extensions)
}

/// Returns the same for a request.
pub(in crate::gateway) fn peer_of(extensions: &Extensions) -> IpAddr {
    extensions.get::<Peer>().map_or_else(|| connected(extensions), |peer| peer.0)
}

/// Returns the address of the connection's other end.
fn connected(extensions: &Extensions) -> IpAddr {
    let info = extensions.get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

/// Returns the address with `n` entries to its right in `X-Forwarded-For`, whose lines form one list (RFC 9110, section
/// 5.3).
fn nth_from_the_right(headers: &HeaderMap, n: usize) -> Option<IpAddr> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let entry = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).nth(n)?;
    address(std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']))
}

/// Parses an address with an optional port: `192.0.2.1`, `192.0.2.1:1234`, `2001:db8::1`,
/// `[2001:db8::1]:1234`, `[2001:db8::1]`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Some(bare) = bare {
        return bare.parse().ok().map(IpAddr::V6);
    }
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

impl State {
    /// Returns whether development mode admits the request: not through an unconfigured proxy, and not from another site's
    /// page.
    pub(super) fn is_local_peer(&self, parts: &Parts) -> bool {
        let config = self.config();
        let has_proxy = [X_FORWARDED_FOR, FORWARDED].iter().any(|name| parts.headers.contains_key(name));
        let knows_proxies = !has_proxy || config.trusted_proxies > 0;
        let is_near = |address: IpAddr| is_within(config.platform.at_hand, address.to_canonical());
        knows_proxies
            && !come_from_another_site(parts)
            && is_near(connected(&parts.extensions))
            && is_near(peer(parts))
    }
}

/// Returns whether `address` is one of those.
fn is_within(those: TrustedNetwork, address: IpAddr) -> bool {
    let is_private = match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    };
    address.is_loopback() || (those == TrustedNetwork::Private && is_private)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    /// Returns the peer of a request with these lines of `X-Forwarded-For`.
    fn seen(lines: &[&[u8]], trusted_proxies: usize) -> String {
        let mut request = Request::new(());
        for line in lines {
            request.headers_mut().append(X_FORWARDED_FOR, line.to_vec().try_into().unwrap());
        }
        let connected: SocketAddr = "10.0.0.1:1".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(connected));
        Peer::of(&request.into_parts().0, trusted_proxies).0.to_string()
    }

    #[test]
    fn header_counts_for_trusted_proxies() {
        let line: &[u8] = b"203.0.113.9, 198.51.100.1,192.0.2.1";
        assert_eq!(seen(&[line], 0), "10.0.0.1", "no proxy is trusted");
        assert_eq!(seen(&[line], 1), "192.0.2.1");
        assert_eq!(seen(&[line], 2), "198.51.100.1");
        assert_eq!(seen(&[line], 3), "203.0.113.9");
        assert_eq!(seen(&[line], 4), "10.0.0.1", "fewer wrote it than are trusted");
        assert_eq!(seen(&[b"203.0.113.9", b"198.51.100.1 , 192.0.2.1"], 2), "198.51.100.1");
        assert_eq!(seen(&[b"203.0.113.9", b"192.0.2.1"], 2), "203.0.113.9", "the lines are one list");
    }

    #[test]
    fn what_is_no_address_is_not_believed() {
        for line in [
            &b""[..],
            b",",
            b"unknown",
            b"_hidden",
            b"192.0.2.1.5",
            b"192.0.2.1 192.0.2.2",
            b"192.0.2.1:x",
            b"192.0.2.1:99999",
            b"[::1",
            b"[192.0.2.1]",
            b"fe80::1%eth0",
            b"\xff\xfe",
            b"192.0.2.1\xff",
            b"192.0.2.1,",
        ] {
            assert_eq!(seen(&[line], 1), "10.0.0.1", "{line:?}");
        }
        assert_eq!(seen(&[], 1), "10.0.0.1");
        assert_eq!(seen(&[b"\xff, 192.0.2.1"], 1), "192.0.2.1", "garbage further left is anybody's");
    }

    #[test]
    fn peer_address_is_canonical() {
        for (written, expected) in [
            ("192.0.2.1:1234", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:1234", "2001:db8::1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(seen(&[written.as_bytes()], 1), expected);
        }
    }

    #[test]
    fn local_peers_are_loopback_by_default() {
        for (address, private) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("172.17.0.1", true),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("8.8.8.8", false),
            ("172.32.0.1", false),
            ("0.0.0.0", false),
            ("2001:db8::1", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(is_within(TrustedNetwork::Loopback, address), address.is_loopback(), "{address}");
            assert_eq!(is_within(TrustedNetwork::Private, address), private, "{address}");
        }
    }
}
