//! L2 · AWS: credentials, the few calls that a tunnel needs, and the choice of endpoint.
//!
//! [`Aws`] makes a [`AwsClient`] per account and region. EC2 is asked by a small signed Query client of our own;
//! keys are pushed by the SDK (`aws-sdk-ec2` would cost more build time than the rest of the project). Which
//! endpoint carries the tunnel is decided by [`choose`], a pure function.
//!
//! Credentials, regions, profiles, endpoint URLs and CA bundles come from where the AWS tools take them; every
//! one of them can be given by [`AwsConfig`] instead. Environment and files are read here (`settings`, `profiles`), and
//! whose credentials count is decided here (`credentials/source`): the SDK's own chain takes the environment's keys
//! before a profile that is named, and panics at some settings.

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
