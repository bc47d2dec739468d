//! The instance that host keys belong to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use eice_proto::InstanceId;
use serde::{Deserialize, Serialize};

/// The maximum length of a part of a scope, in bytes.
const MAX_PART_LEN: usize = 64;

/// The instance that host keys belong to, with its account and region. As text it is
/// `aws/123456789012/eu-west-1/i-…`, with `-` for an unknown part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostKeyScope(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    partition: String,
    account: String,
    region: String,
    instance: InstanceId,
}

impl HostKeyScope {
    /// The placeholder of an unknown part.
    pub const UNKNOWN: &str = "-";

    /// Creates the scope of `instance` in `account` (its 12 digits) of `region` in `partition` (`aws`, `aws-cn`, …).
    /// Invalid parts become unknown: a store must be able to read what it wrote.
    #[must_use]
    pub fn new(partition: &str, account: &str, region: &str, instance: &InstanceId) -> Self {
        let part = |text: &str| if is_part(text) { text } else { Self::UNKNOWN }.to_owned();
        Self(Arc::new(Parts {
            partition: part(partition),
            account: part(account),
            region: part(region),
            instance: instance.clone(),
        }))
    }

    /// Returns the partition: `aws`, `aws-cn` and so on, or `-`.
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.0.partition
    }

    /// Returns the account's 12 digits, or `-`.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.0.account
    }

    /// Returns the region, or `-`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// Returns the instance's id.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.0.instance
    }

    fn parts(&self) -> [&str; 3] {
        [&self.0.partition, &self.0.account, &self.0.region]
    }

    /// Returns whether both may be the same instance: the ids are equal, and so is every part that both know.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let agree =
            |(ours, theirs): (&str, &str)| ours == theirs || ours == Self::UNKNOWN || theirs == Self::UNKNOWN;
        self.0.instance == other.0.instance && self.parts().into_iter().zip(other.parts()).all(agree)
    }

    /// Returns whether this is the same instance as `other` with fewer known parts.
    pub(super) fn is_vaguer_than(&self, other: &Self) -> bool {
        let known = |(ours, theirs): (&str, &str)| ours == theirs || ours == Self::UNKNOWN;
        self != other
            && self.0.instance == other.0.instance
            && self.parts().into_iter().zip(other.parts()).all(known)
    }
}

impl fmt::Display for HostKeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { partition, account, region, instance } = &*self.0;
        write!(f, "{partition}/{account}/{region}/{instance}")
    }
}

fn is_part(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_PART_LEN).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// A text that is not a host key scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the scope of a host key: it must read partition/account/region/i-…")]
#[non_exhaustive]
pub struct InvalidScope;

impl FromStr for HostKeyScope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let parts: Vec<&str> = text.splitn(4, '/').collect();
        match parts.as_slice() {
            [partition, account, region, instance]
                if [partition, account, region].into_iter().all(|part| is_part(part)) =>
            {
                let instance = instance.parse().map_err(|_| InvalidScope)?;
                Ok(Self::new(partition, account, region, &instance))
            }
            _ => Err(InvalidScope),
        }
    }
}

impl TryFrom<String> for HostKeyScope {
    type Error = InvalidScope;

    fn try_from(text: String) -> Result<Self, InvalidScope> {
        text.parse()
    }
}

impl From<HostKeyScope> for String {
    fn from(scope: HostKeyScope) -> Self {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> HostKeyScope {
        text.parse().unwrap()
    }

    #[test]
    fn scope_round_trips() {
        for text in ["aws/123456789012/eu-west-1/i-1", "-/-/-/i-1", "aws-cn/-/cn-north-1/i-0123456789abcdef0"]
        {
            assert_eq!(scope(text).to_string(), text);
        }
        for bad in [
            "",
            "i-1",
            "aws/1/eu-west-1",
            "aws//eu-west-1/i-1",
            "aws/1/eu west/i-1",
            "aws/1/r/i-1/x",
            "a/b/c/x",
        ] {
            assert!(bad.parse::<HostKeyScope>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn invalid_parts_become_unknown() {
        let id = "i-1".parse().unwrap();
        for (account, kept) in
            [("123456789012", "123456789012"), ("", "-"), ("a/b", "-"), ("Me", "-"), ("-", "-")]
        {
            let made = HostKeyScope::new("aws", account, "eu-west-1", &id);
            assert_eq!((made.account(), made.to_string().parse().as_ref()), (kept, Ok(&made)), "{account:?}");
        }
    }

    #[test]
    fn unknown_part_matches_anything() {
        let full = scope("aws/1/eu-west-1/i-1");
        for (other, same, vaguer) in [
            ("aws/1/eu-west-1/i-1", true, false),
            ("aws/-/eu-west-1/i-1", true, true),
            ("-/-/-/i-1", true, true),
            ("aws/2/eu-west-1/i-1", false, false),
            ("aws/-/us-east-1/i-1", false, false),
            ("aws/-/eu-west-1/i-2", false, false),
        ] {
            let other = scope(other);
            assert_eq!((full.may_be(&other), other.may_be(&full)), (same, same), "{other}");
            assert_eq!(other.is_vaguer_than(&full), vaguer, "{other}");
        }
        assert!(!full.is_vaguer_than(&scope("aws/-/eu-west-1/i-1")));
    }
}
