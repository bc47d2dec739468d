//! The WebSocket handshake: what a client sends, and what the answer means.
//!
//! A client makes an [`Upgrade`] from a presigned URL and 16 random bytes, sends [`Upgrade::head`], reads a status,
//! headers and, unless the status is 101, a body of at most [`MAX_BODY`] bytes, and asks [`Upgrade::conclude`].
//! What the service refuses says why in its body; its status codes are not documented, so the body decides and the
//! status is only kept. A server answers with [`accept_key`] or a [`Refusal`].

mod accept;
mod rejection;
mod upgrade;

pub use accept::accept_key;
pub use rejection::{Refusal, Rejection, RejectionKind};
pub use upgrade::{Handshake, MAX_BODY, Upgrade, UpgradeError, classify};
