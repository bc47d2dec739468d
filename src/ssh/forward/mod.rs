//! Forwarded connections: out through the server, in from where it listens, and to our agent from the server.
//!
//! A forwarded connection is lossless and bounded: at most [`CHUNK_QUEUE`](stream) messages wait for its reader.
//! Beyond that the SSH implementation cannot stall one channel alone: it grants the server new window when data arrives,
//! not when it is read, so the whole connection waits ([`is_stalled`](super::Connection::is_stalled) reports that). A
//! caller with several readers therefore uses connections without terminals, and another connection when one is stalled.

mod address;
mod listener;
mod open;
mod stream;

pub use address::{ForwardAddress, ForwardError};
pub(super) use listener::ForwardListeners;
pub use listener::{ForwardListener, IncomingForward};
pub use stream::ForwardStream;
