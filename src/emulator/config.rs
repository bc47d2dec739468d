//! What the emulated account holds: instances, endpoints, security groups, principals, roles.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use eice_proto::{EndpointId, InstanceId};
use serde::{Deserialize, Deserializer};

use super::faults::Faults;
use super::policy::Policy;
use super::secret::Secret;

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

/// An instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceSpec {
    /// Its id.
    #[serde(deserialize_with = "parsed")]
    pub id: InstanceId,
    /// Its state. The default is running.
    pub state: InstanceState,
    /// Its private IPv4 address; none on an IPv6-only instance.
    pub private_ip: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Its public IPv4 address. The default is none: that is what the endpoint is for.
    pub public_ip: Option<Ipv4Addr>,
    /// Its VPC.
    pub vpc: String,
    /// Its subnet.
    pub subnet: String,
    /// Its availability zone; empty means the region's `a`.
    pub availability_zone: String,
    /// Its image.
    pub image: String,
    /// Its type.
    pub instance_type: String,
    /// `windows`, or nothing.
    pub platform: Option<String>,
    /// Its tags. The default has `Role=workspace` and a `Name`.
    pub tags: BTreeMap<String, String>,
    /// The ids of its security groups.
    pub security_groups: Vec<String>,
    /// What answers at its port 22.
    pub backend: Backend,
    /// What GetConsoleOutput says. The default, `None`, is what cloud-init would have printed for a builtin
    /// instance (its host keys), and nothing for another.
    pub console_output: Option<String>,
}

impl Default for InstanceSpec {
    fn default() -> Self {
        Self {
            id: known("i-0123456789abcdef0"),
            state: InstanceState::Running,
            private_ip: Some(Ipv4Addr::new(10, 0, 1, 23)),
            ipv6: None,
            public_ip: None,
            vpc: "vpc-0e1f2a3b4c5d60001".into(),
            subnet: "subnet-0a1b2c3d4e5f60001".into(),
            availability_zone: String::new(),
            image: "ami-0abcdef1234567890".into(),
            instance_type: "t3.micro".into(),
            platform: None,
            tags: [("Name", "workspace"), ("Role", "workspace")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            security_groups: vec![INSTANCE_GROUP.into()],
            backend: Backend::default(),
            console_output: None,
        }
    }
}

/// What answers at port 22 of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Backend {
    /// Our own SSH server on a loopback port, whose processes run on this machine as this process's user.
    Builtin(Builtin),
    /// A real sshd at this address.
    Forward(SocketAddr),
    /// Nothing listens.
    Closed,
    /// Accepts, and never says a word.
    Silent,
}

impl Default for Backend {
    fn default() -> Self {
        Self::Builtin(Builtin::default())
    }
}

/// What the builtin SSH server runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Builtin {
    /// The login shell. The default is `/bin/sh`.
    pub shell: PathBuf,
    /// Where its processes start. The default, `None`, is the emulator's private directory.
    pub cwd: Option<PathBuf>,
    /// Added to the environment of each process.
    pub env: BTreeMap<String, String>,
    /// The OS users there are. The default, empty, means any.
    pub users: Vec<String>,
    /// Sessions open at once on one connection, sshd's MaxSessions. The default is 10.
    pub max_sessions: usize,
}

impl Default for Builtin {
    fn default() -> Self {
        Self { shell: "/bin/sh".into(), cwd: None, env: BTreeMap::new(), users: Vec::new(), max_sessions: 10 }
    }
}

/// The state of an instance, with the codes of the EC2 API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum InstanceState {
    /// 0
    Pending,
    /// 16
    #[default]
    Running,
    /// 32
    ShuttingDown,
    /// 48
    Terminated,
    /// 64
    Stopping,
    /// 80
    Stopped,
}

impl InstanceState {
    /// The number and the name that the API gives.
    #[must_use]
    pub fn code_and_name(self) -> (u16, &'static str) {
        match self {
            Self::Pending => (0, "pending"),
            Self::Running => (16, "running"),
            Self::ShuttingDown => (32, "shutting-down"),
            Self::Terminated => (48, "terminated"),
            Self::Stopping => (64, "stopping"),
            Self::Stopped => (80, "stopped"),
        }
    }
}

/// An EC2 Instance Connect Endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointSpec {
    /// Its id.
    #[serde(deserialize_with = "parsed")]
    pub id: EndpointId,
    /// Its state. The default is `create-complete`.
    pub state: EndpointState,
    /// What DescribeInstanceConnectEndpoints says beside the state, for one that failed.
    pub state_message: Option<String>,
    /// Its VPC.
    pub vpc: String,
    /// Its subnet.
    pub subnet: String,
    /// Its availability zone; empty means the region's `a`.
    pub availability_zone: String,
    /// Its DNS name as told, with `:port` where that is not 443. The default, `None`, is the loopback listener.
    pub dns_name: Option<String>,
    /// Its FIPS name as told. The default is none.
    pub fips_dns_name: Option<String>,
    /// Its dual-stack name as told. The default is none.
    pub dualstack_dns_name: Option<String>,
    /// Which addresses it reaches. The default is IPv4.
    pub address_type: AddressType,
    /// The address it has in its subnet: what a security group's CIDR is held against.
    pub private_ip: Ipv4Addr,
    /// The ids of its security groups.
    pub security_groups: Vec<String>,
    /// Its tags. The default has `Role=workspace`.
    pub tags: BTreeMap<String, String>,
    /// Whether the client's address is kept. Only told.
    pub preserve_client_ip: bool,
}

impl Default for EndpointSpec {
    fn default() -> Self {
        Self {
            id: known("eice-0123456789abcdef0"),
            state: EndpointState::CreateComplete,
            state_message: None,
            vpc: "vpc-0e1f2a3b4c5d60001".into(),
            subnet: "subnet-0a1b2c3d4e5f60001".into(),
            availability_zone: String::new(),
            dns_name: None,
            fips_dns_name: None,
            dualstack_dns_name: None,
            address_type: AddressType::Ipv4,
            private_ip: Ipv4Addr::new(10, 0, 1, 5),
            security_groups: vec![ENDPOINT_GROUP.into()],
            tags: [("Role".to_owned(), "workspace".to_owned())].into(),
            preserve_client_ip: false,
        }
    }
}

/// Which addresses an endpoint reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AddressType {
    /// IPv4 only.
    #[default]
    Ipv4,
    /// Both.
    Dualstack,
    /// IPv6 only.
    Ipv6,
}

impl AddressType {
    /// Whether an endpoint of this type reaches `address`.
    #[must_use]
    pub fn reaches(self, address: IpAddr) -> bool {
        match self {
            Self::Ipv4 => address.is_ipv4(),
            Self::Dualstack => true,
            Self::Ipv6 => address.is_ipv6(),
        }
    }

    /// The name that the API gives.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Dualstack => "dualstack",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// The state of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are the API's own and say all there is")]
pub enum EndpointState {
    CreateInProgress,
    #[default]
    CreateComplete,
    CreateFailed,
    DeleteInProgress,
    DeleteComplete,
    DeleteFailed,
    UpdateInProgress,
    UpdateComplete,
    UpdateFailed,
}

impl EndpointState {
    /// The name that the API gives.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateInProgress => "create-in-progress",
            Self::CreateComplete => "create-complete",
            Self::CreateFailed => "create-failed",
            Self::DeleteInProgress => "delete-in-progress",
            Self::DeleteComplete => "delete-complete",
            Self::DeleteFailed => "delete-failed",
            Self::UpdateInProgress => "update-in-progress",
            Self::UpdateComplete => "update-complete",
            Self::UpdateFailed => "update-failed",
        }
    }

    /// Whether it carries tunnels: the four states that aws-cli looks for (`eicefetcher.py`).
    #[must_use]
    pub fn is_usable(self) -> bool {
        matches!(
            self,
            Self::CreateComplete | Self::UpdateInProgress | Self::UpdateComplete | Self::UpdateFailed
        )
    }
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

/// An identifier that is a literal of this file; the test below holds all of them.
#[allow(clippy::expect_used, reason = "a literal, held by a test")]
fn known<T: FromStr<Err: std::fmt::Debug>>(id: &str) -> T {
    id.parse().expect("a literal identifier parses")
}

#[cfg(test)]
mod tests;
