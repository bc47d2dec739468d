//! CIDR blocks, as in IAM policies and security groups.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A CIDR block: an address and a prefix length. Bits beyond the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

/// A string that is not a CIDR block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a CIDR block: expected 10.0.0.0/16, 2600::/16 or a single address")]
#[non_exhaustive]
pub struct InvalidCidr(String);

impl Cidr {
    fn new(address: IpAddr, bits: u8) -> Self {
        let base = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { base, bits }
    }

    /// Returns whether the block contains `address`.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.base.is_ipv4() == address.is_ipv4() && Self::new(address, self.bits).base == self.base
    }

    /// Returns whether this is an IPv4 block.
    #[must_use]
    pub fn is_ipv4(self) -> bool {
        self.base.is_ipv4()
    }

    /// Returns whether the block contains every address of its family.
    #[must_use]
    pub fn is_everything(self) -> bool {
        self.bits == 0
    }
}

impl From<IpAddr> for Cidr {
    /// Returns the block that contains only this address.
    fn from(address: IpAddr) -> Self {
        Self::new(address, if address.is_ipv4() { 32 } else { 128 })
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        /// Longer input is truncated in the error, in characters.
        const MAX_LEN: usize = 64;
        let invalid = || InvalidCidr(text.chars().take(MAX_LEN).collect());
        let Some((address, bits)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| invalid());
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        match bits.parse::<u8>() {
            Ok(n) if n <= max && bits.bytes().all(|b| b.is_ascii_digit()) => Ok(Self::new(address, n)),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
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
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/+8", "10.0.0.0/", "::/129", "x"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad:?}");
        }
    }
}
