//! `SendSSHPublicKey`, through the SDK.

use std::time::SystemTime;

use aws_sdk_ec2instanceconnect::config::retry::RetryConfig;
use aws_sdk_ec2instanceconnect::config::timeout::TimeoutConfig;
use aws_sdk_ec2instanceconnect::error::SdkError;
use aws_sdk_ec2instanceconnect::operation::RequestId;
use aws_sdk_ec2instanceconnect::operation::send_ssh_public_key::SendSSHPublicKeyError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use eice_proto::InstanceId;
use std::time::Duration;

use crate::terminal::OsUser;

use super::action::Action;
use super::classify::classify;
use super::clock::skew;
use super::error::{Error, Refusal};

/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the call may take with all its tries.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The SDK's limits for the call.
pub(super) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).operation_attempt_timeout(TRY_TIMEOUT).build()
}

/// The SDK's patience for the call.
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
        .map_err(|error| self::error(host, error))?;
    let header_id = answer.request_id().map(str::to_owned);
    let request_id = answer.request_id.clone().or(header_id);
    if answer.success {
        Ok(request_id.unwrap_or_default())
    } else {
        let what = "it reports neither success nor an error".to_owned();
        Err(Error::Malformed { action: Action::SendSshPublicKey, what, request_id })
    }
}

fn error(host: &str, error: SdkError<SendSSHPublicKeyError, HttpResponse>) -> Error {
    let action = Action::SendSshPublicKey;
    match &error {
        SdkError::ServiceError(refused) => {
            let raw = refused.raw();
            let meta = refused.err().meta();
            let request_id = meta.request_id().or_else(|| raw.headers().get("x-amzn-requestid"));
            let message = meta.message().unwrap_or("no reason given");
            let status = raw.status().as_u16();
            let code = meta.code().unwrap_or("unknown");
            let refusal = Refusal::new(action, status, code, message, request_id);
            classify(refusal, skew(raw.headers().get("date"), message, SystemTime::now()))
        }
        SdkError::TimeoutError(_) => Error::Timeout { action, host: host.to_owned(), after: CALL_TIMEOUT },
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Error::Timeout { action, host: host.to_owned(), after: super::http::READ_TIMEOUT }
        }
        SdkError::ResponseError(_) => {
            let request_id = error.request_id().map(str::to_owned);
            let what = "it is no answer of EC2 Instance Connect's".to_owned();
            Error::Malformed { action, what, request_id }
        }
        SdkError::DispatchFailure(_) => {
            Error::Network { action, host: host.to_owned(), source: error.into() }
        }
        _ => Error::Sign { action, source: error.into() },
    }
}
