//! What the emulated account holds: instances, endpoints, security groups, principals, roles.

mod endpoint;
mod instance;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::faults::Faults;
use super::policy::Policy;
use super::secret::Secret;
pub use endpoint::{AddressType, EndpointSpec, EndpointState};
pub use instance::{Backend, Builtin, InstanceSpec, InstanceState};

/// Everything an emulator starts with. The default is a working world: one running instance with our own SSH
/// server, one endpoint in its subnet, one user who may do all that a terminal needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address that everything binds. The default is 127.0.0.1.
    pub listen: IpAddr,
    /// The port of the APIs. The default, 0, lets the system choose.
    pub api_port: u16,
    /// The port of the tunnel's TLS listener. The default, 0, lets the system choose.
    pub tunnel_port: u16,
    /// The host name in the `DnsName` of an endpoint that names none itself; the tunnel's port is added to it.
    /// The default is `localhost`.
    pub tunnel_host: String,
    /// The region. The default is `eu-west-1`.
    pub region: String,
    /// The account. The default is `123456789012`.
    pub account_id: String,
    /// The instances.
    pub instances: Vec<InstanceSpec>,
    /// The endpoints, in the order in which DescribeInstanceConnectEndpoints tells them.
    pub endpoints: Vec<EndpointSpec>,
    /// The security groups.
    pub security_groups: Vec<SecurityGroupSpec>,
    /// The users; the first one's credentials are those of [`Access`](super::Access).
    pub principals: Vec<Principal>,
    /// The roles that `AssumeRole` gives.
    pub roles: Vec<Role>,
    /// The faults to begin with. The default is none.
    pub faults: Faults,
    /// How many tunnels an endpoint carries at once. The default is 20, AWS's quota.
    pub quota: usize,
    /// How long a pushed key is good for, in seconds. The default is 60.
    pub key_lifetime_secs: u64,
    /// How long the dial to the target may take, in milliseconds. The default is 5000.
    pub dial_timeout_ms: u64,
    /// Where the CA and the instances' host keys are kept from one run to the next. The default, `None`, makes
    /// new ones each time in a private directory that goes with the emulator.
    pub state_dir: Option<PathBuf>,
}

impl Default for Config {
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
            principals: vec![Principal::default()],
            roles: Vec::new(),
            faults: Faults::default(),
            quota: 20,
            key_lifetime_secs: 60,
            dial_timeout_ms: 5000,
            state_dir: None,
        }
    }
}

/// Reads a value that has a text form.
fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

/// The security group of the default instance.
const INSTANCE_GROUP: &str = "sg-0aaaaaaaaaaaa0001";
/// The security group of the default endpoint.
const ENDPOINT_GROUP: &str = "sg-0bbbbbbbbbbbb0001";

/// A security group. Rules allow; what no rule allows is refused, and a tunnel then finds its target silent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityGroupSpec {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its VPC.
    pub vpc: String,
    /// What it lets in.
    pub ingress: Vec<Rule>,
    /// What it lets out.
    pub egress: Vec<Rule>,
}

impl SecurityGroupSpec {
    fn defaults() -> Vec<Self> {
        let vpc = EndpointSpec::default().vpc;
        let ssh = |group: &str| Rule { ports: Some((22, 22)), groups: vec![group.into()], cidrs: Vec::new() };
        vec![
            Self {
                id: INSTANCE_GROUP.into(),
                name: "workspace".into(),
                vpc: vpc.clone(),
                ingress: vec![ssh(ENDPOINT_GROUP)],
                egress: vec![Rule { ports: None, groups: Vec::new(), cidrs: vec!["0.0.0.0/0".into()] }],
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
pub struct Rule {
    /// The first and the last port; `None` means every port and protocol.
    pub ports: Option<(u16, u16)>,
    /// The groups at the other end.
    pub groups: Vec<String>,
    /// The addresses at the other end, as CIDR blocks.
    pub cidrs: Vec<String>,
}

/// A user, its one access key and its policies.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Principal {
    /// The user's name.
    pub name: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The secret. The default is random.
    pub secret_access_key: Secret,
    /// The session token, for a key that must come with one.
    pub session_token: Option<Secret>,
    /// What the user may do. The default is [`Policy::terminal`].
    pub policies: Vec<Policy>,
}

impl Default for Principal {
    fn default() -> Self {
        Self {
            name: "developer".into(),
            access_key_id: "AKIAEICEEMULATOR0001".into(),
            secret_access_key: Secret::random(),
            session_token: None,
            policies: vec![Policy::terminal()],
        }
    }
}

/// A role that `AssumeRole` gives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Role {
    /// Its name; the ARN is `arn:aws:iam::ACCOUNT:role/NAME`.
    pub name: String,
    /// The ARNs of those who may assume it; empty means every principal of the account. `*` works as in a
    /// policy.
    pub trusted: Vec<String>,
    /// The external id that the caller must give.
    pub external_id: Option<String>,
    /// What the role may do.
    pub policies: Vec<Policy>,
}

/// An identifier that is a literal of this module; the test below holds all of them.
#[allow(clippy::expect_used, reason = "a literal, held by a test")]
fn known<T: FromStr<Err: std::fmt::Debug>>(id: &str) -> T {
    id.parse().expect("a literal identifier parses")
}
