//! Environment variables, read by the rules of the AWS tools.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::AwsError;

/// A source of environment variables.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum EnvSource {
    /// The environment of this process. The default.
    #[default]
    Process,
    /// Exactly these variables.
    Fixed(Arc<HashMap<String, OsString>>),
}

impl EnvSource {
    /// Returns an environment without any variable.
    #[must_use]
    pub fn empty() -> Self {
        Self::Fixed(Arc::default())
    }

    /// Returns the value of `name`, which may be empty.
    fn raw(&self, name: &str) -> Option<OsString> {
        match self {
            Self::Process => std::env::var_os(name),
            Self::Fixed(variables) => variables.get(name).cloned(),
        }
    }

    /// Returns the value of `name` unless it is unset or empty.
    ///
    /// # Errors
    /// [`AwsError::Setting`] when it is not UTF-8.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, AwsError> {
        Ok(self.maybe_empty(name)?.filter(|value| !value.is_empty()))
    }

    /// Returns the value of `name` unless it is unset.
    ///
    /// # Errors
    /// [`AwsError::Setting`] when it is not UTF-8.
    pub(super) fn maybe_empty(&self, name: &str) -> Result<Option<String>, AwsError> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        value.into_string().map(Some).map_err(|_| AwsError::setting(name, "it is not UTF-8"))
    }

    /// Returns the value of `name` as a path, unless it is unset or empty.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Returns the user's home folder.
    pub(super) fn home(&self) -> Option<PathBuf> {
        match self {
            Self::Process => std::env::home_dir(),
            Self::Fixed(_) => self.path("HOME"),
        }
    }
}

#[cfg(test)]
impl EnvSource {
    /// Returns an environment of `variables`.
    pub(super) fn of(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value)));
        Self::Fixed(Arc::new(variables.collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn empty_variable_counts_as_unset() {
        let env = EnvSource::of(&[("A", "x"), ("B", "")]);
        assert_eq!(env.text("A").unwrap().as_deref(), Some("x"));
        assert_eq!(env.text("B").unwrap(), None);
        assert_eq!(env.maybe_empty("B").unwrap().as_deref(), Some(""));
        assert_eq!(env.text("C").unwrap(), None);
    }

    #[test]
    fn non_utf8_variable_is_named() {
        let value = OsString::from_vec(vec![b'a', 0xff]);
        let env = EnvSource::Fixed(Arc::new([("AWS_REGION".to_owned(), value)].into()));
        let error = env.text("AWS_REGION").unwrap_err();
        assert!(error.to_string().contains("AWS_REGION"), "{error}");
    }
}
