//! Maps AWS error codes to typed errors.

use super::error::{AwsError, ErrorResponse, Skew};

/// Returns the typed error of `response`. `skew` is the clock difference, as far as it is known.
pub(super) fn classify(response: ErrorResponse, skew: Skew) -> AwsError {
    let ErrorResponse { code, message, status, .. } = &response;
    let code = code.strip_suffix("Exception").unwrap_or(code);
    if is_about_the_clock(code, message) || (is_about_the_signature(code) && skew != Skew::Unknown) {
        return AwsError::Clock { skew, response: Box::new(response) };
    }
    let variant = match code {
        "UnauthorizedOperation" | "AccessDenied" | "Auth" | "OptInRequired" | "Blocked" => AwsError::Denied,
        "AuthFailure" | "ExpiredToken" | "InvalidAccessKeyId" => AwsError::Rejected,
        _ if is_about_the_signature(code) => AwsError::Rejected,
        "InvalidInstanceID.NotFound"
        | "InvalidInstanceConnectEndpointId.NotFound"
        | "EC2InstanceNotFound" => AwsError::NotFound,
        "EC2InstanceStateInvalid"
        | "EC2InstanceTypeInvalid"
        | "EC2InstanceUnavailable"
        | "IncorrectInstanceState"
        | "UnsupportedOperation" => AwsError::State,
        "Throttling" | "RequestLimitExceeded" | "TooManyRequests" | "RequestThrottled" | "SlowDown" => {
            AwsError::Throttled
        }
        _ if code.ends_with(".NotFound") => AwsError::NotFound,
        _ => match status {
            401 => AwsError::Rejected,
            403 => AwsError::Denied,
            429 => AwsError::Throttled,
            500.. => AwsError::Service,
            _ => AwsError::Invalid,
        },
    };
    variant(Box::new(response))
}

/// Matches codes and messages about a wrong clock (EC2 error codes; SigV4's own messages).
fn is_about_the_clock(code: &str, message: &str) -> bool {
    matches!(
        code,
        "RequestExpired"
            | "RequestTimeTooSkewed"
            | "RequestInTheFuture"
            | "InvalidSecurity.RequestHasExpired"
    ) || ["Signature expired", "Signature not yet current", "Request has expired", "RequestHasExpired"]
        .iter()
        .any(|text| message.contains(text))
}

/// Matches codes for a rejected signature or key, which a wrong clock can also cause.
fn is_about_the_signature(code: &str) -> bool {
    matches!(
        code,
        "AuthFailure"
            | "SignatureDoesNotMatch"
            | "InvalidSignature"
            | "IncompleteSignature"
            | "UnrecognizedClient"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "InvalidToken"
    )
}
