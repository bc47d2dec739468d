//! Validated identifiers: a value of these types is always well formed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A text or number that is not a valid identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// Not an instance id.
    #[error("{0:?} is not an instance id: it must read i-xxxxxxxxxxxxxxxxx")]
    Instance(String),
    /// Not an endpoint id.
    #[error("{0:?} is not an EC2 Instance Connect Endpoint id: it must read eice-xxxxxxxxxxxxxxxxx")]
    Endpoint(String),
    /// Not a TCP port.
    #[error("{0:?} is not a TCP port: it must be 1 to 65535")]
    Port(String),
    /// Not a duration that the service accepts.
    #[error("{0:?} is not a tunnel duration: it must be 1 to 3600 seconds")]
    Duration(String),
}

/// The maximum length of an identifier, in bytes; AWS's have 17 hex digits after the prefix.
const MAX_ID_LEN: usize = 64;

/// Returns the part of a rejected text that goes into the error: it may be anything, of any size.
fn excerpt(text: &str) -> String {
    text.chars().take(MAX_ID_LEN).collect()
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $prefix:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let allowed: fn(u8) -> bool = $allowed;
                match text.strip_prefix($prefix) {
                    Some(rest)
                        if !rest.is_empty() && text.len() <= MAX_ID_LEN && rest.bytes().all(allowed) =>
                    {
                        Ok(Self(text.to_owned()))
                    }
                    _ => Err(InvalidId::$variant(excerpt(text))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// An instance id, `i-` and letters or digits (aws-cli `ssh.py`: `^i-[0-9a-zA-Z]+$`), at most 64 characters.
    InstanceId, Instance, "i-", |b| b.is_ascii_alphanumeric()
}

text_id! {
    /// An endpoint id, `eice-` and letters, digits or `_` (aws-cli `ssh.py`: `^eice-[0-9a-zA-Z_]+$`), at most
    /// 64 characters.
    EndpointId, Endpoint, "eice-", |b| b.is_ascii_alphanumeric() || b == b'_'
}

/// The port on the instance. The service accepts only 22 and 3389 and reports others itself, so every port but
/// 0 is valid here: a port that AWS adds later needs no new release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemotePort(u16);

impl RemotePort {
    /// SSH, the default.
    pub const SSH: Self = Self(22);
    /// Remote Desktop.
    pub const RDP: Self = Self(3389);

    /// Returns `port` as a remote port.
    ///
    /// # Errors
    /// [`InvalidId::Port`] when it is 0.
    pub fn new(port: u16) -> Result<Self, InvalidId> {
        if port == 0 { Err(InvalidId::Port("0".into())) } else { Ok(Self(port)) }
    }

    /// The port as a number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// Returns whether the service accepts this port today (protocol reference, section a).
    #[must_use]
    pub fn is_served(self) -> bool {
        self == Self::SSH || self == Self::RDP
    }
}

impl Default for RemotePort {
    fn default() -> Self {
        Self::SSH
    }
}

impl FromStr for RemotePort {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        decimal(text)
            .and_then(|port| u16::try_from(port).ok())
            .and_then(|port| Self::new(port).ok())
            .ok_or_else(|| InvalidId::Port(excerpt(text)))
    }
}

impl fmt::Display for RemotePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The maximum lifetime of a tunnel: 1 to 3600 whole seconds. The service uses 3600 if it is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxDuration(u16);

impl MaxDuration {
    /// The maximum, and the service's default.
    pub const MAX: Self = Self(3600);

    /// Returns `seconds` as a tunnel duration.
    ///
    /// # Errors
    /// [`InvalidId::Duration`] outside 1 to 3600.
    pub fn from_secs(seconds: u64) -> Result<Self, InvalidId> {
        match u16::try_from(seconds) {
            Ok(seconds) if (1..=Self::MAX.0).contains(&seconds) => Ok(Self(seconds)),
            _ => Err(InvalidId::Duration(seconds.to_string())),
        }
    }

    /// Whole seconds.
    #[must_use]
    pub fn as_secs(self) -> u16 {
        self.0
    }

    /// Returns the duration as a [`Duration`].
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl FromStr for MaxDuration {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        decimal(text)
            .and_then(|seconds| Self::from_secs(seconds).ok())
            .ok_or_else(|| InvalidId::Duration(excerpt(text)))
    }
}

impl fmt::Display for MaxDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Parses digits only: `str::parse` would also accept a leading `+`, and a signed value must have one spelling.
fn decimal(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_aws_cli_patterns() {
        assert!("i-0123456789abcdef0".parse::<InstanceId>().is_ok());
        assert!("eice-0123_x".parse::<EndpointId>().is_ok());
        for bad in ["", "i-", "i-1/../x", "mi-1", "i-1 ", "i-\u{e9}", "I-1"] {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad:?}");
        }
        for bad in ["", "eice-", "eice-a-b", "i-1", "eice-&x=1"] {
            assert!(bad.parse::<EndpointId>().is_err(), "{bad:?}");
        }
        let long = format!("i-{}", "a".repeat(100_000));
        let error = long.parse::<InstanceId>().unwrap_err().to_string();
        assert!(error.len() < 200, "a rejected text is quoted in part only");
    }

    #[test]
    fn numbers_are_canonical_and_bounded() {
        assert_eq!("22".parse(), Ok(RemotePort::SSH));
        assert_eq!("3600".parse(), Ok(MaxDuration::MAX));
        for bad in ["", "0", "-1", "+22", "65536", "22 ", "0x16", "99999999999999999999999"] {
            assert!(bad.parse::<RemotePort>().is_err(), "{bad:?}");
        }
        for bad in ["0", "-1", "3601", "+1", "1.0"] {
            assert!(bad.parse::<MaxDuration>().is_err(), "{bad:?}");
        }
    }
}
