//! L2 · A local emulator of the AWS services and the instance.
//!
//! It implements the real APIs on loopback (EC2 Query, EC2 Instance Connect, STS, CloudTrail), opens tunnels
//! over TLS with every check of docs/protocol.md, section i, in that order, and provides an instance behind it:
//! our own SSH server with a PTY, or a real sshd. Each fault is a knob that can be changed while it runs.
//!
//! Where no public source describes AWS's behavior (marked in docs/protocol.md), it is a knob or a named
//! assumption, never a promise about AWS.

mod access;
mod api;
mod auth;
mod clock;
mod config;
mod error;
mod faults;
mod instance;
mod pattern;
mod policy;
mod record;
mod running;
mod secret;
mod state_dir;
mod tls;
mod tunnel;
mod world;

pub use access::EmulatorAccess;
pub use clock::Clock;
pub use config::{
    AddressType, Backend, Builtin, EmulatorConfig, EndpointSpec, EndpointState, IamRole, IamUser,
    InstanceSpec, InstanceState, SecurityGroupRuleSpec, SecurityGroupSpec,
};
pub use error::EmulatorError;
pub use faults::{
    AcceptFault, Certificate, CloseAfter, CloseForm, Faults, FaultsHandle, FrameFault, UpgradeFault,
    UpgradeRejection,
};
pub use policy::{IamPolicy, InvalidPolicy};
pub use record::{CloudTrailRecord, Resource, UserIdentity};
pub use running::Emulator;
pub use secret::Secret;

#[cfg(test)]
mod tests;
