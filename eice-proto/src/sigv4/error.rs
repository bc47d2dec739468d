//! Why a signature is refused, by reason.

use std::time::Duration;

/// How much of a refused name is told, in characters.
const MAX_EXCERPT: usize = 64;

/// A received name as printable text: bounded, no control characters.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(MAX_EXCERPT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Why a received request is not let in. No variant carries a signature, a token or a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no signature, neither in the query nor in an Authorization header.
    #[error("the request is not signed")]
    Missing,
    /// The request or its signature cannot be read.
    #[error("the request's signature cannot be read")]
    Malformed(#[from] Malformed),
    /// A query parameter stands twice.
    #[error("the query parameter {0:?} stands more than once")]
    DuplicateParameter(String),
    /// A signed header stands twice.
    #[error("the header {0:?} stands more than once")]
    DuplicateHeader(String),
    /// A header that has to be signed is not.
    #[error("the header {0:?} is not signed")]
    UnsignedHeader(String),
    /// The access key id, or the session token with it, is not known.
    #[error("the access key id or the session token is not known")]
    UnknownKey {
        /// The access key id as received, bounded.
        access_key_id: String,
    },
    /// The credential is meant for something else.
    #[error("the credential's scope has {received:?} as its {part}, not {expected:?}")]
    ScopeMismatch {
        /// Which part does not fit.
        part: ScopePart,
        /// What it would have to be.
        expected: String,
        /// What it is, bounded.
        received: String,
    },
    /// The moment of signing is too far back.
    #[error("the signature expired {} s ago", by.as_secs())]
    Expired {
        /// How long ago it ended.
        by: Duration,
    },
    /// The moment of signing is too far ahead of this clock.
    #[error("the signature is not valid for another {} s", by.as_secs())]
    NotYetValid {
        /// How long until it begins, the permitted skew taken off.
        by: Duration,
    },
    /// Everything can be read and the signature is not the one that this secret makes.
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

/// What cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The path does not begin with `/`, or has an empty, `.` or `..` segment: clients sign such paths in more
    /// than one way.
    #[error("the path is not normalised")]
    Path,
    /// Longer than [`MAX_QUERY_LEN`](super::MAX_QUERY_LEN).
    #[error("the query is too long")]
    QueryTooLong,
    /// More than [`MAX_QUERY_PARAMS`](super::MAX_QUERY_PARAMS).
    #[error("the query has too many parameters")]
    TooManyParameters,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("a percent escape is cut short or not hexadecimal")]
    PercentEscape,
    /// Signed in the query and by header at once.
    #[error("there are two signatures, one in the query and one in a header")]
    TwoSignatures,
    /// A parameter or header that a signature needs is absent.
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
    /// The list of signed headers is empty, unsorted, not lower case, too long, or has a name twice.
    #[error("the list of signed headers is not sorted, in lower case and free of duplicates")]
    SignedHeaders,
    /// The Authorization header cannot be read.
    #[error("the Authorization header cannot be read")]
    Authorization,
    /// Not 64 lower-case hexadecimal digits.
    #[error("the signature is not 64 lower-case hexadecimal digits")]
    Signature,
    /// The session token is not text.
    #[error("the session token is not UTF-8")]
    SessionToken,
}
