//! Verifying a signature.

use std::fmt;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::canonical::{CanonicalRequest, Scope, hex, signature, string_to_sign};
use super::encoding::Param;
use super::error::{ScopePart, VerifyError, excerpt};
use super::received::{Claim, ReceivedRequest};
use crate::Timestamp;

/// The time limits of a verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyPolicy {
    /// The accepted clock difference. A signature by header is valid from this long before its date to this long
    /// after; one in the query from this long before its date. Default 300 s (EC2's error codes,
    /// `RequestExpired`).
    pub max_skew: Duration,
    /// The lifetime of a presigned URL without `X-Amz-Expires`. Default 300 s; AWS's value is not documented.
    pub default_expiry: Duration,
    /// The maximum `X-Amz-Expires`, in seconds. Default 604,800 (seven days, as AWS).
    pub max_expires: u32,
}

impl Default for VerifyPolicy {
    fn default() -> Self {
        Self {
            max_skew: Duration::from_secs(300),
            default_expiry: Duration::from_secs(300),
            max_expires: 604_800,
        }
    }
}

impl VerifyPolicy {
    /// Sets the accepted clock difference.
    #[must_use]
    pub fn with_max_skew(mut self, max_skew: Duration) -> Self {
        self.max_skew = max_skew;
        self
    }

    /// Sets the lifetime of URLs without `X-Amz-Expires`.
    #[must_use]
    pub fn with_default_expiry(mut self, default_expiry: Duration) -> Self {
        self.default_expiry = default_expiry;
        self
    }
}

/// How a request was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// A presigned URL.
    Query,
    /// An `Authorization` header.
    Header,
}

/// A verified request.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The access key that signed it.
    pub access_key_id: String,
    /// How it was signed.
    pub form: Form,
    /// The signing time, by the signer's clock.
    pub signed_at: Timestamp,
    /// The last second at which the signature is accepted.
    pub valid_until: Timestamp,
    /// The canonical request. Contains the session token if that was in the query.
    pub canonical_request: CanonicalRequest,
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("access_key_id", &self.access_key_id)
            .field("form", &self.form)
            .field("signed_at", &self.signed_at)
            .field("valid_until", &self.valid_until)
            .finish_non_exhaustive()
    }
}

/// Verifies the signature of `request`, in its query or in its headers.
///
/// `lookup` receives the access key id and the session token, if there is one, and returns the secret access key
/// that belongs to both, or `None`; it should compare tokens in constant time. The request must be signed for
/// `expected`, its host must be signed, and its time must be within `policy`. The received query is decoded and
/// encoded again, so neither the order nor the spelling of its parameters matters.
///
/// The checks follow the service's order (protocol reference, section i): form, key, scope, time, signature.
///
/// # Errors
/// [`VerifyError`], with the reason.
pub fn verify<S: AsRef<[u8]>>(
    request: &ReceivedRequest<'_>,
    lookup: impl FnOnce(&str, Option<&str>) -> Option<S>,
    expected: &Scope,
    now: Timestamp,
    policy: &VerifyPolicy,
) -> Result<Verified, VerifyError> {
    let claim = Claim::read(request, policy.max_expires)?;
    let headers = claim.canonical_headers(request)?;
    let secret = lookup(&claim.access_key_id, claim.session_token.as_deref())
        .ok_or_else(|| VerifyError::UnknownKey { access_key_id: excerpt(claim.access_key_id.as_bytes()) })?;
    check_scope(&claim, expected)?;
    let valid_until = check_time(&claim, now, policy)?;

    let params: Vec<_> = claim.params.iter().map(Param::pair).collect();
    let canonical_request =
        CanonicalRequest::new(request.method, request.path(), &params, &headers, &request.payload);
    let text = string_to_sign(&canonical_request, expected, claim.date);
    let wanted = hex(&signature(secret.as_ref(), expected, claim.date, &text));
    if !bool::from(wanted.as_bytes().ct_eq(&claim.signature)) {
        return Err(VerifyError::BadSignature);
    }
    Ok(Verified {
        form: if claim.in_query { Form::Query } else { Form::Header },
        access_key_id: claim.access_key_id,
        signed_at: claim.date,
        valid_until,
        canonical_request,
    })
}

fn check_scope(claim: &Claim, expected: &Scope) -> Result<(), VerifyError> {
    let date = claim.date.date();
    for (part, expected, received) in [
        (ScopePart::Date, &date, &claim.scope_date),
        (ScopePart::Region, &expected.region, &claim.region),
        (ScopePart::Service, &expected.service, &claim.service),
    ] {
        if expected != received {
            return Err(VerifyError::ScopeMismatch {
                part,
                expected: expected.clone(),
                received: excerpt(received.as_bytes()),
            });
        }
    }
    Ok(())
}

fn check_time(claim: &Claim, now: Timestamp, policy: &VerifyPolicy) -> Result<Timestamp, VerifyError> {
    let begins = Timestamp::from_unix(claim.date.as_unix().saturating_sub(policy.max_skew.as_secs()));
    if now < begins {
        return Err(VerifyError::NotYetValid { by: begins.since(now) });
    }
    let window = match (claim.in_query, claim.expires) {
        (false, _) => policy.max_skew.as_secs(),
        (true, Some(seconds)) => u64::from(seconds),
        (true, None) => policy.default_expiry.as_secs(),
    };
    let ends = claim.date.saturating_add(window);
    if now > ends {
        return Err(VerifyError::Expired { by: now.since(ends) });
    }
    Ok(ends)
}
