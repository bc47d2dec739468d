//! STS: role assumption, and the client for the caller's identity.

use std::time::SystemTime;

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_sts::config::{Builder, IdentityCache, Region};
use aws_sdk_sts::types;

use super::action::Action;
use super::error::AwsError;
use super::http::Http;
use super::key_push::{self, CALL_TIMEOUT};
use super::retry::Retries;
use super::sdk_error;

/// The default name of a role session, visible in CloudTrail.
pub(super) const SESSION_NAME: &str = "eice";

/// How to reach STS.
#[derive(Clone, Debug)]
pub(super) struct Sts {
    pub(super) http: Http,
    pub(super) region: String,
    /// The base URL, unless it is AWS's own.
    pub(super) url: Option<String>,
    /// The host, for error messages.
    pub(super) host: String,
    pub(super) use_fips: bool,
    pub(super) use_dualstack: bool,
    pub(super) retries: Retries,
}

/// A role to assume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session_name: String,
    pub(super) external_id: Option<String>,
    pub(super) mfa_serial: Option<String>,
    /// The lifetime of its credentials, in seconds.
    pub(super) duration_secs: Option<i32>,
}

impl Role {
    pub(super) fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            session_name: SESSION_NAME.to_owned(),
            external_id: None,
            mfa_serial: None,
            duration_secs: None,
        }
    }
}

impl Sts {
    fn config(&self) -> Builder {
        let mut config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http.sdk_client())
            .region(Region::new(self.region.clone()))
            .use_fips(self.use_fips)
            .use_dual_stack(self.use_dualstack)
            .identity_cache(IdentityCache::no_cache())
            .timeout_config(key_push::timeouts())
            .retry_config(key_push::retries(self.retries))
            .disable_clock_skew_correction(Some(true));
        config.set_endpoint_url(self.url.clone());
        config
    }

    /// Creates a client that signs with the credentials of `provider`.
    pub(super) fn client(&self, provider: impl ProvideCredentials + 'static) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::from_conf(self.config().credentials_provider(provider).build())
    }

    /// Assumes `role` with the credentials `base`, and the MFA `code` if there is one.
    ///
    /// # Errors
    /// [`AwsError::AssumeRole`].
    pub(super) async fn assume(
        &self,
        base: Credentials,
        role: &Role,
        code: Option<String>,
    ) -> Result<Credentials, AwsError> {
        let answer = self
            .client(base)
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(&role.session_name)
            .set_external_id(role.external_id.clone())
            .set_serial_number(role.mfa_serial.clone())
            .set_token_code(code)
            .set_duration_seconds(role.duration_secs)
            .send()
            .await
            .map_err(|error| sdk_error::typed(Action::AssumeRole, &self.host, CALL_TIMEOUT, error));
        answer.and_then(|answer| credentials(answer.credentials)).map_err(|error| failed(&role.arn, error))
    }

    /// Assumes the role `arn` with the token of an identity provider.
    ///
    /// # Errors
    /// [`AwsError::AssumeRole`].
    pub(super) async fn assume_with_token(
        &self,
        arn: &str,
        session_name: &str,
        token: &str,
    ) -> Result<Credentials, AwsError> {
        let answer = aws_sdk_sts::Client::from_conf(self.config().build())
            .assume_role_with_web_identity()
            .role_arn(arn)
            .role_session_name(session_name)
            .web_identity_token(token)
            .send()
            .await
            .map_err(|error| sdk_error::typed(Action::AssumeRole, &self.host, CALL_TIMEOUT, error));
        answer.and_then(|answer| credentials(answer.credentials)).map_err(|error| failed(arn, error))
    }
}

fn failed(arn: &str, source: AwsError) -> AwsError {
    AwsError::AssumeRole { role_arn: arn.to_owned(), source: source.into() }
}

fn credentials(answer: Option<types::Credentials>) -> Result<Credentials, AwsError> {
    let malformed = |what: &str| AwsError::Malformed {
        action: Action::AssumeRole,
        what: what.to_owned(),
        request_id: None,
    };
    let answer = answer.ok_or_else(|| malformed("it contains no credentials"))?;
    let expiry =
        SystemTime::try_from(answer.expiration).map_err(|_| malformed("its expiration is invalid"))?;
    Ok(Credentials::new(
        answer.access_key_id,
        answer.secret_access_key,
        Some(answer.session_token),
        Some(expiry),
        "STS",
    ))
}
