//! Why a role could not be assumed: what STS said, typed as every other call's refusal.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::SdkError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::action::Action;
use super::credentials::CREDENTIALS_TIMEOUT;
use super::error::Error;
use super::sdk_error;

/// The failure of assuming `role_arn`.
pub(super) fn failed(role_arn: &str, error: CredentialsError) -> Error {
    let source: Box<dyn StdError + Send + Sync> = match typed(&error) {
        Some(typed) => Box::new(typed),
        None => error.into(),
    };
    Error::AssumeRole { role_arn: role_arn.to_owned(), source }
}

/// The failed call below `error`, when it was the call that failed.
fn typed(error: &CredentialsError) -> Option<Error> {
    let mut below = error.source();
    let call = loop {
        let error = below?;
        if let Some(call) = error.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
            break call;
        }
        below = error.source();
    };
    let action = Action::AssumeRole;
    let host = || "STS".to_owned();
    match call {
        SdkError::ServiceError(refused) => {
            Some(sdk_error::refusal(action, refused.raw(), refused.err().meta()))
        }
        SdkError::TimeoutError(_) => {
            Some(Error::Timeout { action, host: host(), after: CREDENTIALS_TIMEOUT })
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Some(Error::Timeout { action, host: host(), after: super::http::READ_TIMEOUT })
        }
        SdkError::DispatchFailure(failure) => {
            // Only the text outlives the borrow; it has no secret: it is the transport's.
            let mut text = Vec::new();
            let mut below = failure.as_connector_error().and_then(StdError::source);
            while let Some(error) = below {
                text.push(error.to_string());
                below = error.source();
            }
            Some(Error::Network { action, host: host(), source: text.join(": ").into() })
        }
        _ => None,
    }
}
