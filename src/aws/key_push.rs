//! `SendSSHPublicKey`, through the SDK.

use std::time::Duration;

use aws_sdk_ec2instanceconnect::config::retry::RetryConfig;
use aws_sdk_ec2instanceconnect::config::timeout::TimeoutConfig;
use aws_sdk_ec2instanceconnect::operation::RequestId;
use eice_proto::InstanceId;

use crate::terminal::OsUser;

use super::action::Action;
use super::error::Error;
use super::sdk_error;

/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the call may take with all its tries.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The limits of a call through the SDK.
pub(super) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).operation_attempt_timeout(TRY_TIMEOUT).build()
}

/// The patience of a call through the SDK.
pub(super) fn retries(retries: super::query::Retries) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(retries.attempts.max(1))
        .with_initial_backoff(retries.first_pause)
}

/// Makes the call; the result is its request id.
pub(super) async fn send(
    client: &aws_sdk_ec2instanceconnect::Client,
    host: &str,
    instance: &InstanceId,
    os_user: &OsUser,
    public_key: &str,
) -> Result<String, Error> {
    let answer = client
        .send_ssh_public_key()
        .instance_id(instance.as_str())
        .instance_os_user(os_user.as_str())
        .ssh_public_key(public_key)
        .send()
        .await
        .map_err(|error| sdk_error::typed(Action::SendSshPublicKey, host, CALL_TIMEOUT, error))?;
    let header_id = RequestId::request_id(&answer).map(str::to_owned);
    let request_id = answer.request_id.clone().or(header_id);
    if answer.success {
        Ok(request_id.unwrap_or_default())
    } else {
        let what = "it reports neither success nor an error".to_owned();
        Err(Error::Malformed { action: Action::SendSshPublicKey, what, request_id })
    }
}
