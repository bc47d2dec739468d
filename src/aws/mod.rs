//! L2 · AWS: credentials, the few calls that a tunnel needs, and endpoint selection.
//!
//! [`Aws`] builds an [`AwsClient`] per account and region. EC2 calls use a small signed client of our own for the
//! Query protocol; keys are pushed by the SDK (`aws-sdk-ec2` would cost more build time than the rest of the
//! project). [`choose`], a pure function, selects the endpoint that carries the tunnel.
//!
//! Credentials, regions, profiles, endpoint URLs and CA bundles come from the same sources as in the AWS tools;
//! [`AwsConfig`] can override each. This room reads the environment and the files (`settings`, `profiles`) and
//! decides which credentials apply (`credentials/source`): the SDK's own chain prefers the environment's keys to an
//! explicit profile, and panics on some settings.

mod action;
mod cache;
mod choice;
mod cidr;
mod classify;
mod client;
mod clock;
mod config;
mod console;
mod credentials;
mod describe;
mod environment;
mod error;
mod filter;
mod http;
mod identity;
mod key_push;
mod model;
mod partition;
pub mod policy;
mod profiles;
mod prompt;
mod query;
mod retry;
mod sdk_error;
mod security_group;
mod settings;
mod setup;
mod sts;
#[cfg(test)]
mod tests;
mod xml;

pub use action::Action;
pub use choice::{ChoiceError, ChosenEndpoint, EndpointCriteria, choose};
pub use cidr::{Cidr, InvalidCidr};
pub use client::{AwsClient, RouteRequest};
pub use config::{AwsConfig, EndpointUrls};
pub use console::{ConsoleForm, ConsoleOutput};
pub use describe::AwsResponse;
pub use environment::EnvSource;
pub use error::{AwsError, ErrorResponse, Skew};
pub use filter::{EndpointQuery, InstanceFilter};
pub use identity::CallerIdentity;
pub use key_push::KeyPush;
pub use model::{DnsNames, Endpoint, EndpointState, Instance, InstanceState, IpAddressType};
pub use partition::partition;
pub use prompt::UserPrompt;
pub use retry::Retries;
pub use security_group::{SecurityGroup, SecurityGroupRule, TrafficVerdict, TunnelTraffic, tunnel_traffic};
pub use settings::profile_property;
pub use setup::Aws;
