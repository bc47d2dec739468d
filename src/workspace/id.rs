//! A workspace's id.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use uuid::Uuid;

/// A workspace's id: a UUID in its one usual spelling, 36 characters with hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct WorkspaceId(Uuid);

/// A text that is not a workspace's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a workspace id: it must be a UUID of 36 characters with hyphens")]
#[non_exhaustive]
pub struct InvalidWorkspaceId;

impl WorkspaceId {
    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id as a UUID.
    #[must_use]
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl From<Uuid> for WorkspaceId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for WorkspaceId {
    type Err = InvalidWorkspaceId;

    /// Accepts any case, and refuses the braced, URN and hyphenless spellings of a UUID.
    fn from_str(text: &str) -> Result<Self, InvalidWorkspaceId> {
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(InvalidWorkspaceId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidWorkspaceId)
    }
}

impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_spelling_is_valid() {
        let text = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
        let id: WorkspaceId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        for bad in [
            "",
            "acme",
            "0a1b2c3d4e5f40718293a4b5c6d7e8f9",
            "{0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9}",
            "urn:uuid:0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9",
            "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8fg",
            "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9 ",
            "../../../../../../../../../etc/passwd",
        ] {
            assert_eq!(bad.parse::<WorkspaceId>(), Err(InvalidWorkspaceId), "{bad:?}");
        }
    }
}
