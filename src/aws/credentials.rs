//! Credentials, loaded on first use and cached until shortly before they expire.

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

/// Time limit for loading credentials unattended: SSO, credential processes and the metadata service may each hang.
/// Determining the region has the same limit.
pub(super) const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(15);
/// Time limit with a user at the terminal, who may have to type a code, sign in or touch a key.
const ATTENDED_TIMEOUT: Duration = Duration::from_secs(300);
/// Credentials are renewed when their remaining lifetime is below this.
const EXPIRY_MARGIN: Duration = Duration::from_secs(120);
/// Credentials without an expiry are reloaded after this, to pick up an edited file.
const MAX_AGE: Duration = Duration::from_secs(900);

/// Loads credentials.
pub(super) trait Provider: fmt::Debug + Send + Sync {
    /// Loads fresh credentials.
    fn load(&self) -> BoxFuture<'_, Result<Credentials, AwsError>>;

    /// Returns whether the user may be prompted while loading.
    fn is_attended(&self) -> bool {
        false
    }
}

/// Caches the credentials of a provider; one load runs at a time.
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

    /// Returns credentials that remain valid for `EXPIRY_MARGIN` or longer, where the provider has such.
    ///
    /// # Errors
    /// No credentials were found, or they could not be obtained in time.
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

    /// Drops the cached credentials. Call it when AWS rejects them.
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

/// Provides the same cache to the SDK.
#[derive(Clone, Debug)]
pub(super) struct SdkCredentials(pub(super) Arc<CachedCredentials>);

impl ProvideCredentials for SdkCredentials {
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
    async fn credentials_renew_before_expiry() {
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
    async fn hanging_provider_times_out() {
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
    async fn missing_credentials_have_a_hint() {
        let (none, _) = cached(|| Err(AwsError::NoCredentials), false);
        let error = none.load().await.unwrap_err();
        assert!(error.hint().unwrap().contains("AWS_ACCESS_KEY_ID"));
    }
}
