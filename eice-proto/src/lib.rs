//! The EC2 Instance Connect Endpoint (EICE) tunnel protocol, sans-IO.
//!
//! This crate opens no socket, reads no clock, draws no random number and starts no task: bytes, frames and
//! `now` go in, bytes, frames and events come out. It is both ends of the protocol, so that a client and a
//! server made of it can be held against each other.

pub mod authority;
pub mod credentials;
pub mod handshake;
pub mod id;
pub mod params;
pub mod request;
pub mod sigv4;
pub mod timestamp;
pub mod tunnel;

pub use authority::Authority;
pub use credentials::Credentials;
pub use id::{EndpointId, InstanceId, MaxDuration, RemotePort};
pub use params::{ParamError, TunnelParams};
pub use request::{PresignedUrl, TunnelRequest};
pub use timestamp::Timestamp;
