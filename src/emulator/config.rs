//! The contents of the emulated account: instances, endpoints, security groups, principals, roles.

mod endpoint;
mod instance;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::faults::Faults;
use super::policy::IamPolicy;
use super::secret::Secret;
pub use endpoint::{AddressType, EndpointSpec, EndpointState};
pub use instance::{Backend, Builtin, InstanceSpec, InstanceState};

/// The configuration of an emulator. The default is a working account: one running instance with our own SSH
/// server, one endpoint in its subnet, and one user with all permissions that a terminal needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmulatorConfig {
    /// The address of all listeners. The default is 127.0.0.1.
    pub listen: IpAddr,
    /// The port of the APIs. The default, 0, lets the system choose.
    pub api_port: u16,
    /// The port of the tunnel's TLS listener. The default, 0, lets the system choose.
    pub tunnel_port: u16,
    /// The host name in the `DnsName` of an endpoint without a name of its own; the tunnel's port is appended.
    /// The default is `localhost`.
    pub tunnel_host: String,
    /// The region. The default is `eu-west-1`.
    pub region: String,
    /// The account. The default is `123456789012`.
    pub account_id: String,
    /// The instances.
    pub instances: Vec<InstanceSpec>,
    /// The endpoints, in the order of DescribeInstanceConnectEndpoints.
    pub endpoints: Vec<EndpointSpec>,
    /// The security groups.
    pub security_groups: Vec<SecurityGroupSpec>,
    /// The users; the first one's credentials are in [`EmulatorAccess`](super::EmulatorAccess).
    pub principals: Vec<IamUser>,
    /// The roles for `AssumeRole`.
    pub roles: Vec<IamRole>,
    /// The initial faults. The default is none.
    pub faults: Faults,
    /// The most concurrent tunnels of an endpoint. The default is 20, AWS's quota.
    pub quota: usize,
    /// The lifetime of a pushed key, in seconds. The default is 60.
    pub key_lifetime_secs: u64,
    /// The time limit for dialing the target, in milliseconds. The default is 5000.
    pub dial_timeout_ms: u64,
    /// The directory that keeps the CA and the instances' host keys between runs. The default, `None`, creates
    /// new ones in a private directory that is deleted with the emulator.
    pub state_dir: Option<PathBuf>,
}

impl Default for EmulatorConfig {
    fn default() -> Self {
        Self {
            listen: Ipv4Addr::LOCALHOST.into(),
            api_port: 0,
            tunnel_port: 0,
            tunnel_host: "localhost".into(),
            region: "eu-west-1".into(),
            account_id: "123456789012".into(),
            instances: vec![InstanceSpec::default()],
            endpoints: vec![EndpointSpec::default()],
            security_groups: SecurityGroupSpec::defaults(),
            principals: vec![IamUser::default()],
            roles: Vec::new(),
            faults: Faults::default(),
            quota: 20,
            key_lifetime_secs: 60,
            dial_timeout_ms: 5000,
            state_dir: None,
        }
    }
}

/// Deserializes a value from its text form.
fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

/// The security group of the default instance.
const INSTANCE_GROUP: &str = "sg-0aaaaaaaaaaaa0001";
/// The security group of the default endpoint.
const ENDPOINT_GROUP: &str = "sg-0bbbbbbbbbbbb0001";

/// A security group. Traffic without an allowing rule is dropped: the tunnel's target does not respond.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityGroupSpec {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its VPC.
    pub vpc: String,
    /// Its inbound rules.
    pub ingress: Vec<SecurityGroupRuleSpec>,
    /// Its outbound rules.
    pub egress: Vec<SecurityGroupRuleSpec>,
}

impl SecurityGroupSpec {
    fn defaults() -> Vec<Self> {
        let vpc = EndpointSpec::default().vpc;
        let ssh = |group: &str| SecurityGroupRuleSpec {
            ports: Some((22, 22)),
            groups: vec![group.into()],
            cidrs: Vec::new(),
        };
        vec![
            Self {
                id: INSTANCE_GROUP.into(),
                name: "workspace".into(),
                vpc: vpc.clone(),
                ingress: vec![ssh(ENDPOINT_GROUP)],
                egress: vec![SecurityGroupRuleSpec {
                    ports: None,
                    groups: Vec::new(),
                    cidrs: vec!["0.0.0.0/0".into()],
                }],
            },
            Self {
                id: ENDPOINT_GROUP.into(),
                name: "endpoint".into(),
                vpc,
                ingress: Vec::new(),
                egress: vec![ssh(INSTANCE_GROUP)],
            },
        ]
    }
}

/// One TCP rule of a security group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityGroupRuleSpec {
    /// The first and the last port; `None` means all ports and protocols.
    pub ports: Option<(u16, u16)>,
    /// The groups at the other end.
    pub groups: Vec<String>,
    /// The addresses at the other end, as CIDR blocks.
    pub cidrs: Vec<String>,
}

/// A user with one access key and policies.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IamUser {
    /// The user's name.
    pub name: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The secret access key. The default is random.
    pub secret_access_key: Secret,
    /// The session token, for a temporary key.
    pub session_token: Option<Secret>,
    /// The user's policies. The default is [`IamPolicy::terminal`].
    pub policies: Vec<IamPolicy>,
}

impl Default for IamUser {
    fn default() -> Self {
        Self {
            name: "developer".into(),
            access_key_id: "AKIAEICEEMULATOR0001".into(),
            secret_access_key: Secret::random(),
            session_token: None,
            policies: vec![IamPolicy::terminal()],
        }
    }
}

/// A role for `AssumeRole`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IamRole {
    /// Its name; the ARN is `arn:aws:iam::ACCOUNT:role/NAME`.
    pub name: String,
    /// The ARNs that may assume it; empty means every principal of the account. `*` is a wildcard as in a
    /// policy.
    pub trusted: Vec<String>,
    /// The external id that the caller must send.
    pub external_id: Option<String>,
    /// The role's policies.
    pub policies: Vec<IamPolicy>,
}

/// Parses an identifier that is a literal of this module; the tests cover all of them.
#[allow(clippy::expect_used, reason = "a literal, covered by a test")]
fn known<T: FromStr<Err: std::fmt::Debug>>(id: &str) -> T {
    id.parse().expect("a literal identifier parses")
}
