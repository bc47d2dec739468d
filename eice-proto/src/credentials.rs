//! AWS credentials that do not print and do not linger.

use std::fmt;

use zeroize::Zeroizing;

/// What a request is signed with. `Debug` shows the access key id only; the secret and the token are wiped from
/// memory when the last copy is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// An access key; `session_token` comes with temporary credentials (an empty one counts as none).
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

    /// The access key id: a name, not a secret.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret itself. Never log it.
    #[must_use]
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// The session token, when the credentials are temporary. Never log it.
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
    fn neither_the_secret_nor_the_token_is_printed() {
        let credentials = Credentials::new("AKIDEXAMPLE", "the-secret", Some("the-token".into()));
        let printed = format!("{credentials:?}{credentials:#?}");
        assert!(printed.contains("AKIDEXAMPLE"));
        assert!(!printed.contains("the-secret") && !printed.contains("the-token"), "{printed}");
    }

    #[test]
    fn an_empty_token_is_no_token() {
        assert_eq!(Credentials::new("a", "s", Some(String::new())).session_token(), None);
    }
}
