//! An answer as data.

/// Data with the order of its keys, as an answer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// A scalar in Python's words, which are aws-cli's; `None` for a list or a map.
    pub(super) fn scalar(&self) -> Option<&str> {
        Some(match self {
            Self::Null => "None",
            Self::Bool(true) => "True",
            Self::Bool(false) => "False",
            Self::Text(text) => text,
            Self::List(_) | Self::Map(_) => return None,
        })
    }

    pub(super) fn is_scalar(&self) -> bool {
        self.scalar().is_some()
    }

    /// Whether there is nothing in it, as Python sees it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(value) => !value,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
        }
    }

    /// The member `key` of a map.
    pub(super) fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Entries of a map.
type Entries<'a> = Vec<(&'a str, &'a Value)>;

/// The entries of a map in the order of their keys: scalars, and the rest.
pub(super) fn sorted(entries: &[(String, Value)]) -> (Entries<'_>, Entries<'_>) {
    let mut all: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
    all.sort_by_key(|(key, _)| *key);
    all.into_iter().partition(|(_, value)| value.is_scalar())
}
