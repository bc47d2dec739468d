//! Why a signature is rejected.

use std::time::Duration;

/// The maximum length of a quoted name, in characters.
const MAX_EXCERPT: usize = 64;

/// Returns a received name as printable text: bounded, no control characters.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(MAX_EXCERPT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Why a received request is rejected. No variant carries a signature, a token or a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The request has no signature, neither in the query nor in an Authorization header.
    #[error("the request is not signed")]
    Missing,
    /// The request or its signature is malformed.
    #[error("the request's signature cannot be read")]
    Malformed(#[from] Malformed),
    /// A query parameter is duplicated.
    #[error("the query parameter {0:?} appears more than once")]
    DuplicateParameter(String),
    /// A signed header is duplicated.
    #[error("the header {0:?} appears more than once")]
    DuplicateHeader(String),
    /// A header that must be signed is not.
    #[error("the header {0:?} is not signed")]
    UnsignedHeader(String),
    /// The access key id, or the session token with it, is unknown.
    #[error("the access key id or the session token is unknown")]
    UnknownKey {
        /// The access key id as received, bounded.
        access_key_id: String,
    },
    /// The credential has another scope.
    #[error("the credential's scope has {received:?} as its {part}, not {expected:?}")]
    ScopeMismatch {
        /// The part that differs.
        part: ScopePart,
        /// The expected value.
        expected: String,
        /// The received value, bounded.
        received: String,
    },
    /// The signature has expired.
    #[error("the signature expired {} s ago", by.as_secs())]
    Expired {
        /// How long ago it expired.
        by: Duration,
    },
    /// The signing time is too far ahead of this clock.
    #[error("the signature is not valid for another {} s", by.as_secs())]
    NotYetValid {
        /// How long until it becomes valid, after the permitted skew.
        by: Duration,
    },
    /// The signature is well formed but does not match the one computed with this secret.
    #[error("the signature does not match the request")]
    BadSignature,
}

/// The parts of a credential's scope that a verifier compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScopePart {
    /// `YYYYMMDD`, the day of `X-Amz-Date`.
    Date,
    /// Such as `eu-west-1`.
    Region,
    /// Such as `ec2-instance-connect`.
    Service,
    /// Always `aws4_request`.
    Terminator,
}

impl std::fmt::Display for ScopePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Date => "date",
            Self::Region => "region",
            Self::Service => "service",
            Self::Terminator => "terminator",
        })
    }
}

/// Which part is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The path does not begin with `/`, or has an empty, `.` or `..` segment: clients sign such paths in more
    /// than one way.
    #[error("the path is not normalized")]
    Path,
    /// Longer than [`MAX_QUERY_LEN`](super::MAX_QUERY_LEN).
    #[error("the query is too long")]
    QueryTooLong,
    /// More than [`MAX_QUERY_PARAMS`](super::MAX_QUERY_PARAMS).
    #[error("the query has too many parameters")]
    TooManyParameters,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("a percent escape is truncated or not hexadecimal")]
    PercentEscape,
    /// Signed both in the query and by header.
    #[error("there are two signatures, one in the query and one in a header")]
    TwoSignatures,
    /// A required parameter or header is missing.
    #[error("{0} is missing")]
    Absent(&'static str),
    /// Not `AWS4-HMAC-SHA256`.
    #[error("the algorithm is not AWS4-HMAC-SHA256")]
    Algorithm,
    /// Not `<access key id>/<date>/<region>/<service>/aws4_request`.
    #[error("the credential is not of the form <access key id>/<date>/<region>/<service>/aws4_request")]
    Credential,
    /// `X-Amz-Date` is not `YYYYMMDDTHHMMSSZ`.
    #[error("X-Amz-Date is not of the form YYYYMMDDTHHMMSSZ")]
    Date,
    /// `X-Amz-Expires` is not a number from 1 to the policy's maximum.
    #[error("X-Amz-Expires is not a permitted number of seconds")]
    Expires,
    /// The list of signed headers is empty, unsorted, not lower case, too long, or has a duplicate.
    #[error("the list of signed headers is not sorted, in lower case and free of duplicates")]
    SignedHeaders,
    /// The Authorization header is malformed.
    #[error("the Authorization header cannot be read")]
    Authorization,
    /// Not 64 lower-case hexadecimal digits.
    #[error("the signature is not 64 lower-case hexadecimal digits")]
    Signature,
    /// The session token is not UTF-8.
    #[error("the session token is not UTF-8")]
    SessionToken,
}
