//! AWS Signature Version 4, both ways, in the query and in headers.
//!
//! [`presign`] and [`sign()`] make a signature, [`verify()`] checks one; all three go through the same
//! [`CanonicalRequest`]. Nothing here reads a clock: the moment is an argument.
//!
//! What is canonical follows botocore's `SigV4QueryAuth` and `SigV4Auth`: names and values percent-encoded with
//! upper-case digits and sorted by name, the path encoded a second time (as every service but S3 wants it), the
//! session token part of what is signed, the host exactly as it is sent.

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
