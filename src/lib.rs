//! `eice` opens a shell in a machine that has no public address and no SSH key, through an AWS EC2 Instance
//! Connect Endpoint (EICE), natively: no aws-cli, no ssh binary, no subprocess, no key on disk.
//!
//! # The library
//!
//! [`Client`] is the front door. With the environment of any AWS tool, a tunnel is two calls:
//!
//! ```no_run
//! # async fn example() -> Result<(), eice::client::Error> {
//! let client = eice::Client::from_env().await?;
//! let tunnel = client.open_tunnel("i-0123456789abcdef0").await?; // AsyncRead + AsyncWrite
//! # drop(tunnel); Ok(()) }
//! ```
//!
//! `examples/` has a tunnel, a command, a terminal, and a test against the emulator. Configuration structs are
//! `#[non_exhaustive]` and have a chainable setter for each field.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `connect` | [`Client`] and what it is made of: `aws`, `tunnel`, `ssh`, `docker`, `connect` |
//! | `files` | files on an instance, over one connection |
//! | `gateway` | the axum gateway: `gateway`, `session`, `workspace` |
//! | `emulator` | the local stand-in for AWS, without `connect` |
//! | `bundled-roots` | Mozilla's root certificates, used where the system has none |
//! | `cli`, `client` | the program `eice` and its client verbs; no library feature needs them |
//!
//! The default is all of them. A program that wants the tunnel alone takes
//! `default-features = false, features = ["connect"]`: no clap, no subscriber, no PTY.
//!
//! # Layers
//!
//! Imports go down only; siblings do not import each other, save that `connect` joins `aws`, `tunnel`, `ssh` and
//! `docker`. `tests/layering.rs` holds the code to this table.
//!
//! | layer | module | what it is |
//! |---|---|---|
//! | L0 | [`eice_proto`] | the protocol, sans-IO |
//! | L1 | `listen` | taking TCP connections |
//! | L1 | `roots` | the authorities that TLS trusts |
//! | L1 | [`telemetry`] | tracing set-up, and what a gateway counts |
//! | L1 | [`model`] | the traits and plain types that the upper layers share |
//! | L2 | `aws` | credentials, signed EC2 queries, endpoint choice, key push |
//! | L2 | `tunnel` | proxy, TLS and WebSocket: a tunnel as a byte stream |
//! | L2 | [`ssh`] | key pair, host keys, SSH over any byte stream |
//! | L2 | [`docker`] | containers: the exec template and the one quoting function; terminals over an engine's API |
//! | L2 | `workspace` | the directory of workspaces and who may open them |
//! | L2 | `emulator` | a local stand-in for the AWS services and the instance |
//! | L3 | [`connect`] | target to host: key push, tunnel and SSH together |
//! | L3 | `files` | files at the far side of a host: written, read, listed, copied |
//! | L3 | `session` | one terminal and its viewer |
//! | L4 | [`client`] | the library's front door |
//! | L4 | `gateway` | the browser's side: routes, authentication, protocols, page |
//! | L5 | `config` | file and environment |
//! | L6 | [`cli`] | the verbs; the only place that builds objects |

mod setters;

pub use eice_proto as proto;

#[cfg(feature = "connect")]
pub use client::Client;

#[cfg(feature = "connect")]
pub mod aws;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "connect")]
pub mod client;
#[cfg(all(feature = "cli", feature = "gateway"))]
pub mod config;
#[cfg(feature = "connect")]
pub mod connect;
#[cfg(feature = "connect")]
pub mod docker;
#[cfg(feature = "emulator")]
pub mod emulator;
#[cfg(feature = "files")]
pub mod files;
#[cfg(any(feature = "connect", feature = "emulator"))]
#[cfg_attr(
    not(all(feature = "client", feature = "gateway")),
    allow(dead_code, reason = "each feature uses a part of it")
)]
mod listen;
pub mod model;
#[cfg(feature = "connect")]
pub mod roots;
#[cfg(feature = "connect")]
pub mod ssh;
#[cfg(any(feature = "cli", feature = "gateway"))]
pub mod telemetry;
#[cfg(feature = "connect")]
pub mod tunnel;
#[cfg(any(feature = "client", feature = "gateway"))]
pub mod workspace;

#[cfg(feature = "gateway")]
pub mod session;

#[cfg(feature = "gateway")]
pub mod gateway;

/// Compiles the README's examples as documentation tests.
#[cfg(all(doctest, feature = "connect"))]
#[doc = include_str!("../README.md")]
struct Readme;
