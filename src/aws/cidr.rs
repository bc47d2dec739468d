//! Address blocks of IAM policies and security groups, on `ipnet`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// An address block in canonical form: the bits after the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

/// A text that is not an address block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a CIDR block: expected 10.0.0.0/16, 2600::/16 or a single address")]
#[non_exhaustive]
pub struct InvalidCidr(String);

impl Cidr {
    /// Returns whether `address` is in the block.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Returns whether this is a block of IPv4 addresses.
    #[must_use]
    pub fn is_ipv4(self) -> bool {
        self.0.addr().is_ipv4()
    }

    /// Returns whether the block is every address of its family.
    #[must_use]
    pub fn is_everything(self) -> bool {
        self.0.prefix_len() == 0
    }
}

impl From<IpAddr> for Cidr {
    /// Returns the block of this address alone.
    fn from(address: IpAddr) -> Self {
        Self(address.into())
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        /// The longest address block, in characters.
        const MAX_LEN: usize = 64;
        let block = if text.contains('/') {
            text.parse::<IpNet>().ok()
        } else {
            text.parse::<IpAddr>().ok().map(IpNet::from)
        };
        let invalid = || InvalidCidr(text.chars().take(MAX_LEN).collect());
        block.map(|block| Self(block.trunc())).ok_or_else(invalid)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_contains_shared_prefix() {
        for (block, address, holds) in [
            ("10.0.0.0/16", "10.0.1.23", true),
            ("10.0.0.0/16", "10.1.0.0", false),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.1.23", "10.0.1.23", true),
            ("10.0.1.23/32", "10.0.1.22", false),
            ("::/0", "2600::1", true),
            ("2600::/16", "2601::1", false),
            ("2600::1/128", "2600::1", true),
        ] {
            let block: Cidr = block.parse().unwrap();
            assert_eq!(block.contains(address.parse().unwrap()), holds, "{block} {address}");
        }
    }

    #[test]
    fn host_bits_are_zeroed() {
        assert_eq!("10.0.1.23/16".parse::<Cidr>().unwrap().to_string(), "10.0.0.0/16");
        assert_eq!("2600:1::9/32".parse::<Cidr>().unwrap().to_string(), "2600:1::/32");
        assert_eq!("10.0.1.23".parse::<Cidr>().unwrap().to_string(), "10.0.1.23/32");
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.0/+8",
            "10.0.0.0/-8",
            "10.0.0.0/8/8",
            "10.0.0.0/",
            "::/129",
            "x",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad:?}");
        }
    }
}
