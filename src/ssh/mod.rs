//! L2 · SSH over any byte stream.
//!
//! [`handshake()`] takes the stream as far as it goes without a user: identification, key exchange, host key.
//! [`Handshake::authenticate`] adds the key and makes a [`Connection`], which opens terminals, runs
//! commands and forwards connections. The two are apart because the key is pushed to the instance at the same time;
//! while it is on its way, [`Handshake::begin_authentication`] does what can be done without it. [`agent`] lends a key
//! to OpenSSH's own client instead.
//!
//! Nothing here knows AWS. The SSH implementation runs in a task of its own, where a panic stays; dropping the
//! connection cuts its stream, which ends that task. Each channel has one more task, which always reads it:
//! the implementation holds up a whole connection behind one channel that nobody reads.

pub mod agent;
mod channel;
mod config;
mod connection;
mod error;
mod forward;
mod handler;
mod handshake;
pub mod host_keys;
mod key;
mod link;
mod nudge;
mod pushable_key;
mod terminal;
#[cfg(test)]
mod tests;

pub use config::{Config, Timeouts};
pub use connection::{ChannelRequest, Connection, Pty};
pub use error::Error;
pub use forward::{ForwardAddress, ForwardError, ForwardStream, Offer, Offering};
pub use handshake::{Handshake, handshake};
pub use host_keys::{HostKeyCheck, HostKeyPolicy, HostKeyScope, HostKeySource};
pub use key::{EphemeralKey, InvalidLoginKey, LoginKey};
pub use link::WhyClosed;
pub use pushable_key::{InvalidPushableKey, PushableKey};
