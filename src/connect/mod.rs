//! L3 · From a target to an open host: key push, tunnel and SSH together.
//!
//! A [`Connector`] looks the instance and its endpoint up, dials the tunnel and takes SSH as far as it goes
//! without a key, while a fresh key is pushed at the same time; the two meet at public-key authentication.
//! Whatever fails is a [`StageError`](crate::model::StageError) that names the stage, at whose door the fault
//! lies, and what to change.
//!
//! A container beside this program is opened by its engine instead: see [`Connector::with_engine`].
//!
//! One connection carries one terminal for now: a host is never shared.

mod beside;
mod config;
mod connector;
mod console;
mod diagnose;
mod direct;
mod engine;
mod explain;
mod host;
mod kept_key;
mod local;
mod locate;
mod route;

pub use config::{Config, HostKeyMode};
#[cfg(feature = "gateway")]
pub use connector::EngineCondition;
pub use connector::{Connector, PUSHED_KEY_LIFETIME, PushedKey};
pub use diagnose::Diagnosis;
pub use direct::Approach;
pub use explain::refusal;
pub use host::SshHost;
pub use kept_key::KeptKey;
pub use route::Way;
