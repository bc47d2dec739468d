//! L3 · From a target to an open host: key push, tunnel and SSH together.
//!
//! A [`Connector`] looks up the instance and its endpoint, dials the tunnel and performs the SSH handshake up
//! to authentication, while an ephemeral key is pushed concurrently; the two join at public-key authentication.
//! Every failure is a [`StageError`](crate::model::StageError) with the stage, the kind of fault, and a hint.
//!
//! A local container is opened by its engine instead: see [`Connector::with_engine`].
//!
//! Each connection carries one terminal; hosts are not shared.

mod concurrent;
mod config;
mod connector;
mod console;
mod container_start;
mod diagnose;
mod dial;
mod dispatch;
mod explain;
mod host;
mod local;
mod locate;
mod refreshing_key;
mod resolve;
mod route;

pub use config::{ConnectConfig, ConnectMethod, HostKeyMode};
#[cfg(feature = "gateway")]
pub use connector::EngineCondition;
pub use connector::{Connector, PUSHED_KEY_LIFETIME, PushedKey};
pub use diagnose::DiagnoseOptions;
pub use explain::refusal;
pub use host::SshHost;
pub use refreshing_key::RefreshingKey;
pub use route::TunnelTarget;
