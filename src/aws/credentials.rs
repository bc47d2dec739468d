//! Credentials, loaded when first needed and kept until shortly before they expire.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::error::Error;
use super::role;

/// How long the credential chain may take, the region's look-up included: SSO, credential processes and the
/// metadata service may each hang.
pub(super) const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(15);
/// Credentials are renewed when they have less than this to live.
const EXPIRY_MARGIN: Duration = Duration::from_secs(120);
/// Credentials that name no expiry are read again after this, so that an edited file is seen.
const MAX_AGE: Duration = Duration::from_secs(900);

/// Credentials from a provider, one load at a time.
#[derive(Debug)]
pub(super) struct CachedCredentials {
    provider: SharedCredentialsProvider,
    role_arn: Option<String>,
    deadline: Duration,
    slot: Mutex<Option<(Instant, Credentials)>>,
}

impl CachedCredentials {
    pub(super) fn new(provider: SharedCredentialsProvider, role_arn: Option<String>) -> Self {
        Self { provider, role_arn, deadline: CREDENTIALS_TIMEOUT, slot: Mutex::new(None) }
    }

    /// Credentials that live for a while yet.
    ///
    /// # Errors
    /// None were found, they could not be had, or not within [`CREDENTIALS_TIMEOUT`].
    pub(super) async fn load(&self) -> Result<Credentials, Error> {
        timeout(self.deadline, self.load_unbounded())
            .await
            .unwrap_or(Err(Error::CredentialsTimeout(self.deadline)))
    }

    async fn load_unbounded(&self) -> Result<Credentials, Error> {
        let mut slot = self.slot.lock().await;
        if let Some((loaded, credentials)) = slot.as_ref()
            && is_fresh(*loaded, credentials)
        {
            return Ok(credentials.clone());
        }
        let credentials = self.provider.provide_credentials().await.map_err(|error| self.error(error))?;
        *slot = Some((Instant::now(), credentials.clone()));
        Ok(credentials)
    }

    /// Drops what is kept: AWS did not accept it.
    pub(super) async fn forget(&self) {
        *self.slot.lock().await = None;
    }

    fn error(&self, error: CredentialsError) -> Error {
        match (&error, &self.role_arn) {
            (CredentialsError::ProviderTimedOut(details), _) => {
                Error::CredentialsTimeout(details.timeout_duration())
            }
            (_, Some(role_arn)) => role::failed(role_arn, error),
            (CredentialsError::CredentialsNotLoaded(_), None) => Error::NoCredentials(error.into()),
            _ => Error::Credentials(error.into()),
        }
    }
}

fn is_fresh(loaded: Instant, credentials: &Credentials) -> bool {
    match credentials.expiry() {
        Some(expiry) => {
            expiry.duration_since(SystemTime::now()).is_ok_and(|remaining| remaining > EXPIRY_MARGIN)
        }
        None => loaded.elapsed() < MAX_AGE,
    }
}

/// The SDK's view of the same cache.
#[derive(Clone, Debug)]
pub(super) struct ForSdk(pub(super) std::sync::Arc<CachedCredentials>);

impl ProvideCredentials for ForSdk {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.0.load().await.map_err(CredentialsError::provider_error)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug)]
    struct Counting {
        calls: Arc<AtomicUsize>,
        answer: fn() -> Result<Credentials, CredentialsError>,
        hang: bool,
    }

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                self.calls.fetch_add(1, Ordering::Relaxed);
                if self.hang {
                    std::future::pending::<()>().await;
                }
                (self.answer)()
            })
        }
    }

    fn cached(
        answer: fn() -> Result<Credentials, CredentialsError>,
        hang: bool,
    ) -> (CachedCredentials, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let provider = Counting { calls: calls.clone(), answer, hang };
        (CachedCredentials::new(SharedCredentialsProvider::new(provider), None), calls)
    }

    fn lasting(secs: u64) -> Credentials {
        let expiry = SystemTime::now() + Duration::from_secs(secs);
        Credentials::new("AKIDEXAMPLE", "secret", None, Some(expiry), "test")
    }

    #[tokio::test]
    async fn credentials_are_loaded_once_and_again_when_they_are_about_to_expire() {
        let (long, calls) = cached(|| Ok(lasting(3600)), false);
        let (first, second) = tokio::join!(long.load(), long.load());
        assert_eq!(first.unwrap().access_key_id(), second.unwrap().access_key_id());
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        long.forget().await;
        long.load().await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 2);

        let (short, calls) = cached(|| Ok(lasting(60)), false);
        short.load().await.unwrap();
        short.load().await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_chain_that_hangs_ends_at_its_deadline() {
        let (mut hanging, _) = cached(|| Ok(lasting(1)), true);
        hanging.deadline = Duration::from_millis(20);
        let error = hanging.load().await.unwrap_err();
        assert!(matches!(error, Error::CredentialsTimeout(_)), "{error:?}");
        assert!(error.hint().is_some());
    }

    #[tokio::test]
    async fn absent_credentials_say_where_to_put_them() {
        let (none, _) = cached(|| Err(CredentialsError::not_loaded("nothing there")), false);
        let error = none.load().await.unwrap_err();
        assert!(matches!(error, Error::NoCredentials(_)), "{error:?}");
        assert!(error.hint().unwrap().contains("AWS_ACCESS_KEY_ID"));
    }
}
