//! The source of environment variables.

use std::collections::BTreeMap;

/// A source of environment variables: the process's environment is read in one place, and tests pass a map.
pub trait Lookup {
    /// Returns the value of `name`; `None` if it is unset, empty or not UTF-8.
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
