//! The ways in which a user names an instance.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use eice_proto::InstanceId;

use super::InvalidTarget;

/// The longest value of an EC2 tag, in characters (EC2 user guide, "Tag restrictions").
const MAX_TAG_VALUE: usize = 256;

/// Marks a Name tag that looks like something else: `name:10.0.0.1`.
const NAME_PREFIX: &str = "name:";

/// An instance as a user names it: `i-0123456789abcdef0`, `10.0.1.23`, the UUID of a workspace, or a Name tag.
///
/// A text that starts with `i-` is always an id, so that a mistyped one is not looked up as a tag. After
/// `name:`, the rest is a tag verbatim. No name may start with `-`: another program would take it for an
/// option.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstanceName {
    /// By its id: no lookup is needed.
    Id(InstanceId),
    /// By its private address, IPv4 or IPv6.
    Address(IpAddr),
    /// By the workspace that it serves: 36 characters, in lower case.
    Workspace(String),
    /// By the value of its tag `Name`.
    Tag(String),
}

impl FromStr for InstanceName {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let refuse = || InvalidTarget::InstanceName(text.chars().take(MAX_TAG_VALUE).collect());
        if let Some(name) = text.strip_prefix(NAME_PREFIX) {
            return if is_tag_value(name) { Ok(Self::Tag(name.to_owned())) } else { Err(refuse()) };
        }
        if text.starts_with("i-") {
            return text.parse().map(Self::Id).map_err(|_| refuse());
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Address(address));
        }
        if is_uuid(text) {
            return Ok(Self::Workspace(text.to_ascii_lowercase()));
        }
        if is_tag_value(text) && !text.starts_with('-') {
            Ok(Self::Tag(text.to_owned()))
        } else {
            Err(refuse())
        }
    }
}

impl InstanceName {
    /// Returns a text that parses as this name again, whatever a tag looks like.
    #[must_use]
    pub fn to_argument(&self) -> String {
        match self {
            Self::Tag(value) if value.parse().as_ref() != Ok(self) => format!("{NAME_PREFIX}{value}"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Workspace(text) | Self::Tag(text) => f.write_str(text),
        }
    }
}

/// Returns whether `text` can be the value of a tag.
fn is_tag_value(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_TAG_VALUE && !text.chars().any(char::is_control)
}

/// Returns whether `text` is a UUID with hyphens.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_name_parses_each_form() {
        let parsed = |text: &str| text.parse::<InstanceName>().unwrap();
        assert_eq!(parsed("i-0123"), InstanceName::Id("i-0123".parse().unwrap()));
        assert_eq!(parsed("10.0.1.23"), InstanceName::Address("10.0.1.23".parse().unwrap()));
        assert_eq!(parsed("[fd00::1]"), parsed("fd00::1"));
        let id = "0A1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
        assert_eq!(parsed(id), InstanceName::Workspace(id.to_ascii_lowercase()));
        assert_eq!(parsed("web server 1"), InstanceName::Tag("web server 1".into()));
        assert_eq!(parsed("name:i-am-a-name"), InstanceName::Tag("i-am-a-name".into()));
        assert_eq!(parsed("name:10.0.0.1"), InstanceName::Tag("10.0.0.1".into()));
    }

    #[test]
    fn argument_round_trips() {
        for text in ["i-0123", "fd00::1", "web 1", "name:i-1", "name:10.0.0.1", "name:-x", "name:name:x"] {
            let name: InstanceName = text.parse().unwrap();
            assert_eq!(name.to_argument().parse(), Ok(name), "{text}");
        }
    }

    #[test]
    fn invalid_name_is_rejected() {
        for bad in ["", "-oProxyCommand=x", "i-", "i-1;id", "a\nb", "name:", "name:\u{1b}"] {
            assert!(bad.parse::<InstanceName>().is_err(), "{bad:?}");
        }
        let long = "x".repeat(100_000).parse::<InstanceName>().unwrap_err();
        assert!(long.to_string().len() < 500);
    }
}
