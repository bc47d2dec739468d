//! Where a terminal opens.

use std::fmt;
use std::str::FromStr;

use eice_proto::{EndpointId, InstanceId, MaxDuration, RemotePort};

use crate::setters::setters;

/// A target: what a workspace resolves to, or what the command line names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// An EC2 instance, reached through an EC2 Instance Connect Endpoint.
    Instance(Box<InstanceTarget>),
    /// A local container, of the engine that this program talks to.
    Local(Box<LocalTarget>),
}

impl Target {
    /// Returns the instance, if it is one.
    #[must_use]
    pub fn instance(&self) -> Option<&InstanceTarget> {
        match self {
            Self::Instance(target) => Some(target),
            Self::Local(_) => None,
        }
    }
}

impl From<InstanceTarget> for Target {
    fn from(target: InstanceTarget) -> Self {
        Self::Instance(Box::new(target))
    }
}

/// An EC2 instance and how to reach it. [`InstanceTarget::new`] sets every field but the id to its default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceTarget {
    /// The instance.
    pub instance: InstanceId,
    /// The credentials to use. The default is the process's own.
    pub account: Account,
    /// The region. The default, `None`, is that of the credential chain.
    pub region: Option<String>,
    /// The endpoint. The default makes the same choice as aws-cli (docs/protocol.md, section e).
    pub endpoint: EndpointChoice,
    /// The private address to tunnel to, if known: saves DescribeInstances when the endpoint is known as well.
    pub private_address: Option<std::net::IpAddr>,
    /// The address family. The default prefers IPv4 over IPv6.
    pub address_family: AddressFamily,
    /// The login name. The default is `ec2-user`, as aws-cli's.
    pub os_user: OsUser,
    /// The port on the instance. The default is 22.
    pub port: RemotePort,
    /// The longest lifetime of the tunnel. The default, `None`, is the service's: 3600 s. Required if a policy
    /// has a condition on `maxTunnelDuration`.
    pub max_duration: Option<MaxDuration>,
    /// What runs in the terminal. The default is the login shell.
    pub shell: Shell,
}

impl InstanceTarget {
    /// Returns a target for `instance` with defaults for everything else.
    #[must_use]
    pub fn new(instance: InstanceId) -> Self {
        Self {
            instance,
            account: Account::default(),
            region: None,
            endpoint: EndpointChoice::default(),
            private_address: None,
            address_family: AddressFamily::default(),
            os_user: OsUser::default(),
            port: RemotePort::SSH,
            max_duration: None,
            shell: Shell::default(),
        }
    }

    /// Returns whether the instance must be looked up to find a route to it.
    #[must_use]
    pub fn needs_instance(&self) -> bool {
        self.private_address.is_none() || !self.endpoint.is_named()
    }
}

impl From<LocalTarget> for Target {
    fn from(target: LocalTarget) -> Self {
        Self::Local(Box::new(target))
    }
}

/// A local container, under one of several names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalTarget {
    /// Its possible names. The first one that runs and carries the platform's label is used.
    pub candidates: Vec<ContainerName>,
    /// Variables for the shell's environment, in addition to `TERM` and `LANG`. Values may contain anything but
    /// NUL.
    pub env: Vec<(EnvName, String)>,
}

impl LocalTarget {
    /// Returns a target for the container with one of the names `candidates`.
    #[must_use]
    pub fn new(candidates: Vec<ContainerName>) -> Self {
        Self { candidates, env: Vec::new() }
    }
}

/// The AWS credentials of a target. Without any field: the process's default chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Account {
    /// A profile of the shared configuration files.
    pub profile: Option<String>,
    /// A role to assume, by ARN, from the profile's or the chain's credentials.
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy requires.
    pub external_id: Option<String>,
}

impl Account {
    /// Returns the account that `profile`, `role_arn` and `external_id` name.
    #[must_use]
    pub fn new(profile: Option<String>, role_arn: Option<String>, external_id: Option<String>) -> Self {
        Self { profile, role_arn, external_id }
    }
}

/// The endpoint that carries the tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointChoice {
    /// One in the instance's subnet, or else the first in its VPC.
    #[default]
    Automatic,
    /// This endpoint; its DNS name is looked up.
    Id(EndpointId),
    /// This endpoint at this DNS name; nothing is looked up.
    Known {
        /// The endpoint.
        id: EndpointId,
        /// Its DNS name, with `:port` unless that is 443.
        dns_name: String,
    },
}

impl EndpointChoice {
    /// Returns whether it names an endpoint, so that the instance's VPC is not needed.
    #[must_use]
    pub fn is_named(&self) -> bool {
        !matches!(self, Self::Automatic)
    }

    /// Returns whether it is complete, so that nothing is looked up.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known { .. })
    }
}

/// The private address of the instance that is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressFamily {
    /// IPv4 if there is an address that the endpoint supports, or else IPv6.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// The program that runs in a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shell {
    /// The user's login shell.
    #[default]
    Login,
    /// This command line, passed to the login shell verbatim.
    Command(String),
    /// A shell inside a container on the instance.
    Container(ContainerShell),
}

/// A shell, or a command, inside a container on the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerShell {
    /// The container, by name or id.
    pub container: ContainerName,
    /// The engine's program and its first arguments: `["docker"]` (the default), `["sudo", "-n", "docker"]`,
    /// `["podman"]`. Each is quoted for the remote shell.
    pub engine: Vec<String>,
    /// Variables for the shell's environment, in addition to `TERM` and `LANG`. Values may contain anything but
    /// NUL.
    pub env: Vec<(EnvName, String)>,
    /// The program and its arguments, which no shell interprets. The default, `None`, is a shell: bash if
    /// available, or else sh.
    pub command: Option<Vec<String>>,
}

impl ContainerShell {
    /// Returns a shell in `container`, opened with plain `docker`.
    #[must_use]
    pub fn new(container: ContainerName) -> Self {
        Self { container, engine: vec!["docker".into()], env: Vec::new(), command: None }
    }

    /// Returns the same container and engine with `command` in place of a shell.
    #[must_use]
    pub fn running(&self, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { command: Some(command.into_iter().map(Into::into).collect()), ..self.clone() }
    }
}

/// An invalid part of a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// An invalid login name.
    #[error(
        "{0:?} is not an OS user: 1 to 32 letters, digits and @ . _ -, not starting with a digit or sign"
    )]
    OsUser(String),
    /// An invalid container name.
    #[error("{0:?} is not a container name: letters, digits and _ . -, starting with a letter or digit")]
    Container(String),
    /// A text that does not name an instance.
    #[error(
        "{0:?} names no instance: it must be an id (i-…), a private address, a workspace's UUID or a Name tag \
         (`name:` before one that reads like something else)"
    )]
    InstanceName(String),
    /// An invalid environment variable name.
    #[error(
        "{0:?} is not the name of an environment variable: letters, digits and _, not starting with a digit"
    )]
    EnvName(String),
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $max:literal, $first:expr, $rest:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidTarget;

            fn from_str(text: &str) -> Result<Self, InvalidTarget> {
                let first: fn(u8) -> bool = $first;
                let rest: fn(u8) -> bool = $rest;
                let mut bytes = text.bytes();
                if text.len() <= $max && bytes.next().is_some_and(first) && bytes.all(rest) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidTarget::$variant(text.chars().take($max).collect()))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A login name as `SendSSHPublicKey` takes it: `[A-Za-z_][A-Za-z0-9@._-]*`, at most 32 characters.
    OsUser, OsUser, 32,
    |b| b.is_ascii_alphabetic() || b == b'_',
    |b| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'.' | b'_' | b'-')
}

impl Default for OsUser {
    /// Returns `ec2-user`, the default of aws-cli.
    fn default() -> Self {
        Self("ec2-user".into())
    }
}

name! {
    /// A container's name or id as Docker accepts it: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 255 characters. It
    /// cannot be mistaken for an option and needs no quoting in any shell.
    ContainerName, Container, 255,
    |b| b.is_ascii_alphanumeric(),
    |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')
}

name! {
    /// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`, at most 255 characters.
    EnvName, EnvName, 255,
    |b| b.is_ascii_alphabetic() || b == b'_',
    |b| b.is_ascii_alphanumeric() || b == b'_'
}

setters! {
    Account {
        profile: Option<String>,
        role_arn: Option<String>,
        external_id: Option<String>,
    }
}

setters! {
    ContainerShell {
        container: ContainerName,
        engine: Vec<String>,
        env: Vec<(EnvName, String)>,
        command: Option<Vec<String>>,
    }
}

setters! {
    InstanceTarget {
        instance: InstanceId,
        account: Account,
        region: Option<String>,
        endpoint: EndpointChoice,
        private_address: Option<std::net::IpAddr>,
        address_family: AddressFamily,
        os_user: OsUser,
        port: RemotePort,
        max_duration: Option<MaxDuration>,
        shell: Shell,
    }
}

setters! {
    LocalTarget {
        candidates: Vec<ContainerName>,
        env: Vec<(EnvName, String)>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_reject_commands() {
        for bad in ["", "-x", "a b", "a;b", "$(id)", "a\nb", "a/b", "\u{e9}"] {
            assert!(bad.parse::<ContainerName>().is_err(), "{bad:?}");
            assert!(bad.parse::<OsUser>().is_err(), "{bad:?}");
            assert!(bad.parse::<EnvName>().is_err(), "{bad:?}");
        }
        assert!("ws-1234.a_b".parse::<ContainerName>().is_ok());
        assert!("ec2-user".parse::<OsUser>().is_ok());
        assert!("a".repeat(33).parse::<OsUser>().is_err());
        assert!("MOLECULE_WS_ID".parse::<EnvName>().is_ok());
        assert!("1A".parse::<EnvName>().is_err());
    }
}
