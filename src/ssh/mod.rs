//! L2 · SSH over any byte stream.
//!
//! [`handshake()`] does everything that needs no user: identification, key exchange, host key check.
//! [`Handshake::authenticate`] adds the key and returns a [`Connection`], which opens terminals, runs commands and
//! forwards connections. They are separate steps because the key is pushed to the instance concurrently; while the push
//! is pending, [`Handshake::begin_authentication`] does what needs no key. [`agent`] offers a key to OpenSSH's own
//! client instead.
//!
//! This module does not depend on AWS. The SSH implementation runs in its own task, which contains its panics;
//! dropping the connection cuts its stream and thereby ends that task. Each channel has another task that always reads
//! it, because the implementation stalls the whole connection when one channel is not read.

pub mod agent;
mod channel;
mod channel_state;
mod config;
mod connection;
mod deadline;
mod error;
mod forward;
mod handler;
mod handshake;
pub mod host_keys;
mod key;
mod nudge;
mod pushable_key;
mod request;
mod terminal;
#[cfg(test)]
mod tests;
mod transport;

pub use config::{Config, Timeouts, WhyClosed};
pub use connection::Connection;
pub use error::Error;
pub use forward::{ForwardAddress, ForwardError, ForwardListener, ForwardStream, IncomingForward};
pub use handshake::{Handshake, handshake};
pub use host_keys::{HostKeyCheck, HostKeyPolicy, HostKeyScope, HostKeySource};
pub use key::{EphemeralKey, InvalidLoginKey, LoginKey};
pub use pushable_key::{InvalidPushableKey, PushableKey};
pub use request::{ChannelRequest, Pty};
