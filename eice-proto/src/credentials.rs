//! AWS credentials that are redacted in `Debug` and zeroed on drop.

use std::fmt;

use zeroize::Zeroizing;

/// The credentials that sign a request. `Debug` shows only the access key id; the secret and the token are zeroed
/// when the last copy is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// Creates credentials. `session_token` is present with temporary ones; an empty token counts as `None`.
    #[must_use]
    pub fn new(
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
        session_token: Option<String>,
    ) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: Zeroizing::new(secret_access_key.into()),
            session_token: session_token.filter(|token| !token.is_empty()).map(Zeroizing::new),
        }
    }

    /// Returns the access key id, which is not secret.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Returns the secret access key. Never log it.
    #[must_use]
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// Returns the session token of temporary credentials. Never log it.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(|token| token.as_str())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("is_temporary", &self.session_token.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_redacts_secrets() {
        let credentials = Credentials::new("AKIDEXAMPLE", "the-secret", Some("the-token".into()));
        let printed = format!("{credentials:?}{credentials:#?}");
        assert!(printed.contains("AKIDEXAMPLE"));
        assert!(!printed.contains("the-secret") && !printed.contains("the-token"), "{printed}");
    }

    #[test]
    fn empty_token_is_none() {
        assert_eq!(Credentials::new("a", "s", Some(String::new())).session_token(), None);
    }
}
