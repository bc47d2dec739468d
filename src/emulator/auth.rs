//! Authenticates the signature of a request.

use std::time::Duration;

use eice_proto::Timestamp;
use eice_proto::sigv4::{PayloadHash, ReceivedRequest, Scope, VerifyError, VerifyPolicy, verify};

use super::world::{Caller, World};

/// The largest tolerated clock skew: EC2's error-code page says 5 minutes.
const MAX_SKEW: Duration = Duration::from_secs(300);
/// The validity of a presigned URL without X-Amz-Expires. AWS's value is unknown.
const DEFAULT_EXPIRY: Duration = Duration::from_secs(300);

/// Why a signature is rejected, as far as the services distinguish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AuthFault {
    /// There is no signature.
    Missing,
    /// The access key or its token is unknown or expired.
    UnknownKey,
    /// Its time is outside the tolerated skew; with AWS's message.
    Expired(String),
    /// It does not match the request and the secret.
    Mismatch,
    /// It is malformed or has the wrong scope; with the reason.
    Malformed(String),
}

/// Returns the caller who signed `request`, in a header or in the query.
pub(super) fn authenticate(
    world: &World,
    service: &str,
    method: &str,
    path_and_query: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Caller, AuthFault> {
    let request = ReceivedRequest { method, path_and_query, headers, payload: PayloadHash::of(body) };
    let scope = Scope::new(world.region.as_str(), service);
    let now = Timestamp::from(world.clock.now());
    let policy = VerifyPolicy::default().with_max_skew(MAX_SKEW).with_default_expiry(DEFAULT_EXPIRY);
    let verified = verify(&request, |key, token| world.secret(key, token), &scope, now, &policy)
        .map_err(|error| fault_of(&error, now))?;
    world.caller(&verified.access_key_id).ok_or(AuthFault::UnknownKey)
}

fn fault_of(error: &VerifyError, now: Timestamp) -> AuthFault {
    match error {
        VerifyError::Missing => AuthFault::Missing,
        VerifyError::UnknownKey { .. } => AuthFault::UnknownKey,
        VerifyError::Expired { by } => AuthFault::Expired(format!(
            "Signature expired: the request is {} s too old; the server's time is {now}",
            by.as_secs()
        )),
        VerifyError::NotYetValid { by } => AuthFault::Expired(format!(
            "Signature not yet current: the request is {} s too early; the server's time is {now}",
            by.as_secs()
        )),
        VerifyError::BadSignature => AuthFault::Mismatch,
        VerifyError::ScopeMismatch { part, expected, .. } => {
            AuthFault::Malformed(format!("Credential should be scoped to correct {part}: '{expected}'."))
        }
        other => AuthFault::Malformed(other.to_string()),
    }
}
