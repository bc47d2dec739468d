//! The EC2 Instance Connect Endpoint (EICE) tunnel protocol, sans-IO.
//!
//! This crate opens no socket, reads no clock, draws no random number and starts no task: bytes, frames and
//! `now` go in, bytes, frames and events come out. It implements both ends of the protocol, so that a client
//! and a server built on it can be tested against each other.
//!
//! A client uses it in this order:
//!
//! 1. [`TunnelRequest::presign`] returns the URL, byte for byte as aws-cli makes it.
//! 2. [`handshake::Upgrade`] builds the request head and reads the response.
//! 3. [`tunnel::Tunnel`] turns bytes into frames and frames into bytes until a [`tunnel::CloseReason`].
//!
//! A server verifies with [`sigv4::verify`], reads [`TunnelParams`], answers with [`handshake::accept_key`] or a
//! [`handshake::RejectionCode`], and runs the same [`tunnel::Tunnel`] in the server role.
//!
//! Frame encoding (headers, masks) is left to a WebSocket codec such as tungstenite's.
//!
//! # Presigning
//!
//! ```
//! use eice_proto::{Credentials, Timestamp, TunnelRequest};
//!
//! let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None);
//! let request = TunnelRequest::new(
//!     "eice-0123456789abcdef0.4c1b2f3a.ec2-instance-connect-endpoint.eu-west-1.amazonaws.com".parse()?,
//!     "eice-0123456789abcdef0".parse()?,
//!     "10.0.1.23".parse()?,
//! );
//! let noon: Timestamp = "20260729T120000Z".parse()?;
//! let url = request.presign(&credentials, "eu-west-1", noon, Some(60));
//!
//! // The signature that botocore makes (fixtures/sigv4/b-plain.json). Only `expose` shows it.
//! // The signature that botocore computes (fixtures/sigv4/b-plain.json). Only `expose` returns it.
//! assert!(url.to_string().ends_with("/openTunnel?[redacted]"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Pumping a tunnel
//!
//! ```
//! use std::time::Instant;
//!
//! use bytes::Bytes;
//! use eice_proto::tunnel::{CloseReason, Config, Event, Role, Tunnel};
//!
//! let now = Instant::now();
//! let mut client = Tunnel::new(Role::Client, Config::default(), now);
//! let mut server = Tunnel::new(Role::Server, Config::default(), now);
//!
//! client.send(&mut Bytes::from_static(b"SSH-2.0-x\r\n"))?;
//! client.close(now);
//!
//! // A socket would be in between.
//! while let Some(frame) = client.poll_transmit() {
//!     server.handle_frame(frame, now);
//! }
//! assert_eq!(server.poll_event(), Some(Event::Data(Bytes::from_static(b"SSH-2.0-x\r\n"))));
//! assert_eq!(server.poll_event(), Some(Event::Closed(CloseReason::Clean)));
//! # Ok::<(), eice_proto::tunnel::Closed>(())
//! ```

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

/// Compiles the README's examples as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
