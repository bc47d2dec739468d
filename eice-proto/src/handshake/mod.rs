//! The WebSocket handshake: the client's request and the meaning of the response.
//!
//! A client builds an [`Upgrade`] from a presigned URL and 16 random bytes, sends [`Upgrade::head`], reads status,
//! headers and, unless the status is 101, a body of at most [`MAX_BODY`] bytes, and calls [`Upgrade::conclude`].
//! A rejection is classified by its body, because the service's status codes are not documented; the status is
//! only reported. A server answers with [`accept_key`] or a [`RejectionCode`].

mod accept;
mod rejection;
mod upgrade;

pub use accept::accept_key;
pub use rejection::{Rejection, RejectionCode, RejectionKind};
pub use upgrade::{Handshake, MAX_BODY, Upgrade, UpgradeError, classify};
