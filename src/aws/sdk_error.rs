//! What the SDK's clients report, in our own types.

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

/// The typed error of a call to `host` that had `limit` in all.
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
        SdkError::ServiceError(refused) => refusal(action, refused.raw(), refused.err().meta()),
        SdkError::TimeoutError(_) => AwsError::Timeout { action, host: host(), after: limit },
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            AwsError::Timeout { action, host: host(), after: READ_TIMEOUT }
        }
        SdkError::DispatchFailure(_) => AwsError::Network { action, host: host(), source: error.into() },
        SdkError::ResponseError(failure) => {
            let request_id = failure.raw().headers().request_id().map(str::to_owned);
            AwsError::Malformed { action, what: "it is no answer of this service's".to_owned(), request_id }
        }
        _ => AwsError::Sign { action, source: error.into() },
    }
}

/// The typed error of an answer that refuses, or that is none of the service's own.
pub(super) fn refusal(action: Action, answer: &HttpResponse, meta: &ErrorMetadata) -> AwsError {
    let message = meta.message().unwrap_or("no reason given");
    let request_id = meta.request_id().or_else(|| answer.headers().request_id());
    let status = answer.status().as_u16();
    let told = meta.code().map(str::to_owned);
    let Some(code) = told.or_else(|| (status >= 500).then(|| format!("HTTP {status}"))) else {
        let what = format!("HTTP {status} without an error of this service's");
        return AwsError::Malformed { action, what, request_id: request_id.map(str::to_owned) };
    };
    let refusal = ErrorResponse::new(action, status, &code, message, request_id);
    classify(refusal, skew(answer.headers().get("date"), message, SystemTime::now()))
}
