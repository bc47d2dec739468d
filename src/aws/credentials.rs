//! Credentials, loaded when first needed and kept until shortly before they expire.

mod chain;
mod process;
mod source;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::error::AwsError;
pub(super) use chain::{Chain, metadata_client};

/// How long obtaining credentials may take where nobody is asked: SSO, credential processes and the metadata service
/// may each hang. The region's look-up has the same limit.
pub(super) const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(15);
/// How long it may take with a person at the terminal, who may have to type a code, sign in or touch a key.
const ATTENDED_TIMEOUT: Duration = Duration::from_secs(300);
/// Credentials are renewed when they have less than this to live.
const EXPIRY_MARGIN: Duration = Duration::from_secs(120);
/// Credentials that name no expiry are read again after this, so that an edited file is seen.
const MAX_AGE: Duration = Duration::from_secs(900);

/// Obtains credentials.
pub(super) trait Provider: fmt::Debug + Send + Sync {
    /// Obtains them anew.
    fn load(&self) -> BoxFuture<'_, Result<Credentials, AwsError>>;

    /// Whether a person may be asked meanwhile.
    fn is_attended(&self) -> bool {
        false
    }
}

/// Credentials from a provider, one load at a time.
#[derive(Debug)]
pub(super) struct CachedCredentials {
    provider: Box<dyn Provider>,
    load_timeout: Duration,
    slot: Mutex<Option<(Instant, Credentials)>>,
}

impl CachedCredentials {
    pub(super) fn new(provider: impl Provider + 'static) -> Self {
        let load_timeout = if provider.is_attended() { ATTENDED_TIMEOUT } else { CREDENTIALS_TIMEOUT };
        Self { provider: Box::new(provider), load_timeout, slot: Mutex::new(None) }
    }

    /// Credentials that live for a while yet.
    ///
    /// # Errors
    /// None were found, they could not be obtained, or not in time.
    pub(super) async fn load(&self) -> Result<Credentials, AwsError> {
        timeout(self.load_timeout, self.load_unbounded())
            .await
            .unwrap_or(Err(AwsError::CredentialsTimeout(self.load_timeout)))
    }

    async fn load_unbounded(&self) -> Result<Credentials, AwsError> {
        let mut slot = self.slot.lock().await;
        if let Some((loaded, credentials)) = slot.as_ref()
            && is_fresh(*loaded, credentials)
        {
            return Ok(credentials.clone());
        }
        let credentials = self.provider.load().await?;
        *slot = Some((Instant::now(), credentials.clone()));
        Ok(credentials)
    }

    /// Drops what is kept: AWS did not accept it.
    pub(super) async fn forget(&self) {
        *self.slot.lock().await = None;
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
pub(super) struct ForSdk(pub(super) Arc<CachedCredentials>);

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
        answer: fn() -> Result<Credentials, AwsError>,
        hang: bool,
        is_attended: bool,
    }

    impl Provider for Counting {
        fn load(&self) -> BoxFuture<'_, Result<Credentials, AwsError>> {
            Box::pin(async {
                self.calls.fetch_add(1, Ordering::Relaxed);
                if self.hang {
                    std::future::pending::<()>().await;
                }
                (self.answer)()
            })
        }

        fn is_attended(&self) -> bool {
            self.is_attended
        }
    }

    fn cached(
        answer: fn() -> Result<Credentials, AwsError>,
        hang: bool,
    ) -> (CachedCredentials, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let provider = Counting { calls: calls.clone(), answer, hang, is_attended: false };
        (CachedCredentials::new(provider), calls)
    }

    fn lasting(secs: u64) -> Credentials {
        let expiry = SystemTime::now() + Duration::from_secs(secs);
        Credentials::new("AKIDEXAMPLE", "secret", None, Some(expiry), "test")
    }

    #[tokio::test]
    async fn credentials_are_renewed_before_they_expire() {
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
    async fn hanging_provider_ends_at_its_limit() {
        let (mut hanging, calls) = cached(|| Ok(lasting(1)), true);
        assert_eq!(hanging.load_timeout, CREDENTIALS_TIMEOUT);
        hanging.load_timeout = Duration::from_millis(20);
        let error = hanging.load().await.unwrap_err();
        assert!(matches!(error, AwsError::CredentialsTimeout(_)), "{error:?}");
        assert!(error.hint().is_some());
        let attended = Counting { calls, answer: || Ok(lasting(1)), hang: true, is_attended: true };
        assert_eq!(CachedCredentials::new(attended).load_timeout, ATTENDED_TIMEOUT);
    }

    #[tokio::test]
    async fn missing_credentials_say_where_to_put_them() {
        let (none, _) = cached(|| Err(AwsError::NoCredentials), false);
        let error = none.load().await.unwrap_err();
        assert!(error.hint().unwrap().contains("AWS_ACCESS_KEY_ID"));
    }
}
