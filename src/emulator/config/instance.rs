//! An instance of the emulated account.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use eice_proto::InstanceId;
use serde::Deserialize;

use super::{INSTANCE_GROUP, known, parsed};

/// An instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceSpec {
    /// Its id.
    #[serde(deserialize_with = "parsed")]
    pub id: InstanceId,
    /// Its state. The default is running.
    pub state: InstanceState,
    /// Its private IPv4 address; none for an IPv6-only instance.
    pub private_ip: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Its public IPv4 address. The default is none.
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
    /// The server on its port 22.
    pub backend: Backend,
    /// Its output in GetConsoleOutput. The default, `None`, is cloud-init's output for a builtin instance (its
    /// host keys), and empty for others.
    pub console_output: Option<String>,
    /// Its output in GetConsoleOutput with `Latest`. The default, `None`, is the same; instance types older than
    /// the Nitro System do not support it.
    pub latest_console_output: Option<String>,
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
            latest_console_output: None,
        }
    }
}

/// The server on port 22 of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Backend {
    /// Our own SSH server on a loopback port; its processes run locally as this process's user.
    Builtin(Builtin),
    /// A real sshd at this address.
    Forward(SocketAddr),
    /// Nothing listens.
    Closed,
    /// Accepts connections and never sends a byte.
    Silent,
}

impl Default for Backend {
    fn default() -> Self {
        Self::Builtin(Builtin::default())
    }
}

/// The configuration of the builtin SSH server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Builtin {
    /// The login shell. The default is `/bin/sh`.
    pub shell: PathBuf,
    /// The working directory of its processes. The default, `None`, is the emulator's private directory.
    pub cwd: Option<PathBuf>,
    /// Added to the environment of each process.
    pub env: BTreeMap<String, String>,
    /// The existing OS users. The default, empty, accepts any.
    pub users: Vec<String>,
    /// The most concurrent sessions on one connection, like sshd's MaxSessions. The default is 10.
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
    /// Returns the API's number and name of it.
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
