//! The configuration of the engine's client.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use super::address::Address;

use crate::setters::setters;

/// How an engine is reached, and which of its containers may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineConfig {
    /// The engine's address. The default is `unix:///var/run/docker.sock`.
    pub address: Address,
    /// The label that a container must carry to be visible. The default is `molecule.platform.managed` with any
    /// value, which the platform sets on all of its containers.
    pub required_label: Label,
    /// The time limit of one request to the engine. The default is 10 s.
    pub timeout: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            address: Address::default(),
            required_label: Label { key: "molecule.platform.managed".into(), value: None },
            timeout: Duration::from_secs(10),
        }
    }
}

/// A container label: `key` with any value, or `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    key: String,
    value: Option<String>,
}

/// A text that is not a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a label: it must be a key without spaces, or key=value")]
#[non_exhaustive]
pub struct InvalidLabel(String);

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        let is_text = |text: &str| !text.chars().any(char::is_control);
        if key.is_empty() || key.contains(char::is_whitespace) || !is_text(text) {
            return Err(InvalidLabel(text.chars().take(200).collect()));
        }
        Ok(Self { key: key.to_owned(), value })
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key)?;
        match &self.value {
            Some(value) => write!(f, "={value}"),
            None => Ok(()),
        }
    }
}

impl Label {
    /// Returns whether `labels` contains it.
    pub(super) fn is_in(&self, labels: &HashMap<String, String>) -> bool {
        labels.get(&self.key).is_some_and(|has| self.value.as_ref().is_none_or(|value| value == has))
    }
}

setters! {
    EngineConfig {
        address: Address,
        required_label: Label,
        timeout: Duration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_matches_key_or_key_and_value() {
        let labels =
            HashMap::from([("a.b".to_owned(), "true".to_owned()), ("empty".to_owned(), String::new())]);
        let is_in = |label: &str| label.parse::<Label>().unwrap().is_in(&labels);
        assert!(is_in("a.b") && is_in("a.b=true") && is_in("empty") && is_in("empty="));
        assert!(!is_in("a") && !is_in("a.b=") && !is_in("a.b=TRUE") && !is_in("empty=true"));
        for bad in ["", "=true", "a b", "a\n", "a=\u{1b}"] {
            assert!(bad.parse::<Label>().is_err(), "{bad:?}");
        }
        assert_eq!(EngineConfig::default().required_label.to_string(), "molecule.platform.managed");
        assert_eq!("a=b=c".parse::<Label>().unwrap().to_string(), "a=b=c");
    }
}
