//! `SendSSHPublicKey`, through the SDK.

use std::time::Duration;

use super::action::Action;
use super::error::AwsError;
use super::sdk_error;
use aws_sdk_ec2instanceconnect::config::retry::RetryConfig;
use aws_sdk_ec2instanceconnect::config::timeout::TimeoutConfig;
use aws_sdk_ec2instanceconnect::operation::RequestId;

/// Time limit of one attempt.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of the call, including retries.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the time limits of SDK calls.
pub(super) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).operation_attempt_timeout(TRY_TIMEOUT).build()
}

/// Returns the retry settings of SDK calls.
pub(super) fn retries(retries: super::retry::Retries) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(retries.attempts.max(1))
        .with_initial_backoff(retries.first_pause)
}

/// A public key to push. It is not validated here; the service reports what is wrong with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyPush<'a> {
    /// The instance's id.
    pub instance: &'a str,
    /// The login name.
    pub os_user: &'a str,
    /// `ssh-ed25519 AAAA…`, or a key of another type.
    pub public_key: &'a str,
    /// The instance's availability zone. With the default, `None`, the service looks it up.
    pub availability_zone: Option<&'a str>,
}

impl<'a> KeyPush<'a> {
    /// Creates a push of `public_key` for `os_user` on `instance`.
    #[must_use]
    pub fn new(instance: &'a str, os_user: &'a str, public_key: &'a str) -> Self {
        Self { instance, os_user, public_key, availability_zone: None }
    }
}

/// Makes the call and returns its request id.
pub(super) async fn send(
    client: &aws_sdk_ec2instanceconnect::Client,
    host: &str,
    push: &KeyPush<'_>,
) -> Result<String, AwsError> {
    let answer = client
        .send_ssh_public_key()
        .instance_id(push.instance)
        .instance_os_user(push.os_user)
        .ssh_public_key(push.public_key)
        .set_availability_zone(push.availability_zone.map(str::to_owned))
        .send()
        .await
        .map_err(|error| sdk_error::typed(Action::SendSshPublicKey, host, CALL_TIMEOUT, error))?;
    let header_id = RequestId::request_id(&answer).map(str::to_owned);
    let request_id = answer.request_id.clone().or(header_id);
    if answer.success {
        Ok(request_id.unwrap_or_default())
    } else {
        let what = "it reports neither success nor an error".to_owned();
        Err(AwsError::Malformed { action: Action::SendSshPublicKey, what, request_id })
    }
}
