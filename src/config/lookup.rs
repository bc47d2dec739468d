//! Where environment variables come from.

use std::collections::BTreeMap;

/// Answers for environment variables, so that a test hands over a map and the process's environment is read in
/// one place.
pub trait Lookup {
    /// The value of `name`; `None` when it is unset, empty or not UTF-8.
    fn value(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Lookup for ProcessEnv {
    fn value(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}

impl Lookup for BTreeMap<String, String> {
    fn value(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).cloned()
    }
}
