//! AWS Signature Version 4: signing and verifying, in the query and in headers.
//!
//! [`presign`] and [`sign()`] compute a signature, [`verify()`] checks one; all three use the same
//! [`CanonicalRequest`]. Nothing here reads a clock: the time is an argument.
//!
//! The canonical form follows botocore's `SigV4QueryAuth` and `SigV4Auth`: names and values percent-encoded with
//! upper-case digits and sorted by name, the path encoded a second time (as every service but S3 requires), the
//! session token signed, the host exactly as sent.

mod canonical;
mod encoding;
mod error;
mod received;
mod sign;
mod verify;

pub use canonical::{CanonicalRequest, PayloadHash, Scope};
pub use encoding::{MAX_QUERY_LEN, MAX_QUERY_PARAMS};
pub use error::{Malformed, ScopePart, VerifyError};
pub use received::ReceivedRequest;
pub use sign::{Request, Signed, presign, sign};
pub use verify::{Form, Verified, VerifyPolicy, verify};

pub(crate) use encoding::parse_query;
