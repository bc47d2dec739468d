//! Structured output.

/// A value; maps keep the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// Returns a scalar by Python's name, as aws-cli prints it; `None` for a list or a map.
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

    /// Returns whether the value is falsy in Python.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(value) => !value,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
        }
    }

    /// Returns the member `key` of a map.
    pub(super) fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Entries of a map.
type Entries<'a> = Vec<(&'a str, &'a Value)>;

/// Returns the entries of a map sorted by key, partitioned into scalars and others.
pub(super) fn sorted(entries: &[(String, Value)]) -> (Entries<'_>, Entries<'_>) {
    let mut all: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
    all.sort_by_key(|(key, _)| *key);
    all.into_iter().partition(|(_, value)| value.is_scalar())
}
