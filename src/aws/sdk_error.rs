//! Converts the SDK's errors.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

use super::action::Action;
use super::classify::classify;
use super::clock::skew;
use super::error::{AwsError, ErrorResponse};
use super::http::READ_TIMEOUT;

/// Converts the error of a call to `host` with the time limit `limit`.
pub(super) fn typed<E>(
    action: Action,
    host: &str,
    limit: Duration,
    error: SdkError<E, HttpResponse>,
) -> AwsError
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    let host = || host.to_owned();
    match &error {
        SdkError::ServiceError(context) => error_response(action, context.raw(), context.err().meta()),
        SdkError::TimeoutError(_) => AwsError::Timeout { action, host: host(), after: limit },
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            AwsError::Timeout { action, host: host(), after: READ_TIMEOUT }
        }
        SdkError::DispatchFailure(_) => AwsError::Network { action, host: host(), source: error.into() },
        SdkError::ResponseError(failure) => {
            let request_id = failure.raw().headers().request_id().map(str::to_owned);
            AwsError::Malformed {
                action,
                what: "it is not a response of this service".to_owned(),
                request_id,
            }
        }
        _ => AwsError::Sign { action, source: error.into() },
    }
}

/// Converts an error response, or one that the service cannot have sent.
pub(super) fn error_response(action: Action, answer: &HttpResponse, meta: &ErrorMetadata) -> AwsError {
    let message = meta.message().unwrap_or("no reason given");
    let request_id = meta.request_id().or_else(|| answer.headers().request_id());
    let status = answer.status().as_u16();
    let code = meta.code().map(str::to_owned);
    let Some(code) = code.or_else(|| (status >= 500).then(|| format!("HTTP {status}"))) else {
        let what = format!("HTTP {status} without an error of this service");
        return AwsError::Malformed { action, what, request_id: request_id.map(str::to_owned) };
    };
    let response = ErrorResponse::new(action, status, &code, message, request_id);
    classify(response, skew(answer.headers().get("date"), message, SystemTime::now()))
}
