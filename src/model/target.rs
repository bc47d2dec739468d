//! What a terminal should open in.

use std::fmt;
use std::str::FromStr;

use eice_proto::{EndpointId, InstanceId, MaxDuration, RemotePort};

use crate::setters::setters;

/// What a workspace resolves to, or what the command line names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// An EC2 instance, reached through an EC2 Instance Connect Endpoint.
    Instance(Box<InstanceTarget>),
    /// A container of the engine beside this program.
    Local(Box<LocalTarget>),
}

impl Target {
    /// The instance, where it is one.
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

/// An EC2 instance and how to reach it. [`InstanceTarget::new`] has every field but the id at its default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceTarget {
    /// The instance.
    pub instance: InstanceId,
    /// Whose credentials are used. The default is the process's own.
    pub account: Account,
    /// The region. The default, `None`, is what the credential chain says.
    pub region: Option<String>,
    /// The endpoint. The default is the choice that aws-cli makes (protocol reference, section e).
    pub endpoint: EndpointChoice,
    /// The private address to tunnel to, when it is known: spares DescribeInstances where the endpoint is
    /// known as well.
    pub private_address: Option<std::net::IpAddr>,
    /// Which of the instance's private addresses. The default takes IPv4 before IPv6.
    pub address_family: AddressFamily,
    /// The login name. The default is `ec2-user`, as aws-cli's.
    pub os_user: OsUser,
    /// The port on the instance. The default is 22.
    pub port: RemotePort,
    /// The tunnel's longest life. The default, `None`, is the service's: 3600 s. A policy that caps
    /// `maxTunnelDuration` needs it to be given.
    pub max_duration: Option<MaxDuration>,
    /// What runs in the terminal. The default is the login shell.
    pub shell: Shell,
}

impl InstanceTarget {
    /// The instance `instance`, everything else at its default.
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

    /// Whether the way to it cannot be found without looking the instance up.
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

/// A container of the engine beside this program, under one of several names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalTarget {
    /// What it may be called. The first one that runs, and that the platform has labelled as its own, is taken.
    pub candidates: Vec<ContainerName>,
    /// Added to the environment of the shell, besides `TERM` and `LANG`. Values may be anything without NUL.
    pub env: Vec<(EnvName, String)>,
}

impl LocalTarget {
    /// The container that is called one of `candidates`.
    #[must_use]
    pub fn new(candidates: Vec<ContainerName>) -> Self {
        Self { candidates, env: Vec::new() }
    }
}

/// Whose AWS credentials a target needs. All absent: the process's own default chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Account {
    /// A profile of the shared configuration files.
    pub profile: Option<String>,
    /// A role to assume, by ARN, from the profile's or the chain's credentials.
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    pub external_id: Option<String>,
}

impl Account {
    /// The account that `profile`, `role_arn` and `external_id` name.
    #[must_use]
    pub fn new(profile: Option<String>, role_arn: Option<String>, external_id: Option<String>) -> Self {
        Self { profile, role_arn, external_id }
    }
}

/// Which endpoint carries the tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointChoice {
    /// One in the instance's subnet, else the first in its VPC.
    #[default]
    Automatic,
    /// This one; its DNS name is looked up.
    Id(EndpointId),
    /// This one at this DNS name: nothing is looked up.
    Known {
        /// The endpoint.
        id: EndpointId,
        /// Its DNS name, with `:port` where that is not 443.
        dns_name: String,
    },
}

impl EndpointChoice {
    /// Whether it says which endpoint, so that the instance's VPC need not be known.
    #[must_use]
    pub fn is_named(&self) -> bool {
        !matches!(self, Self::Automatic)
    }

    /// Whether it says everything, so that nothing is looked up.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known { .. })
    }
}

/// Which private address of the instance is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressFamily {
    /// IPv4 where there is one that the endpoint can carry, else IPv6.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// What runs in a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shell {
    /// The user's login shell.
    #[default]
    Login,
    /// This command line, given to the login shell as it stands.
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
    /// Added to the environment of the shell, besides `TERM` and `LANG`. Values may be anything without NUL.
    pub env: Vec<(EnvName, String)>,
    /// What runs: a program and its arguments, which no shell reads. The default, `None`, is a shell: bash where
    /// there is one, else sh.
    pub command: Option<Vec<String>>,
}

impl ContainerShell {
    /// A shell in `container` by way of plain `docker`.
    #[must_use]
    pub fn new(container: ContainerName) -> Self {
        Self { container, engine: vec!["docker".into()], env: Vec::new(), command: None }
    }

    /// The same container and engine, with `command` in place of a shell.
    #[must_use]
    pub fn running(&self, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { command: Some(command.into_iter().map(Into::into).collect()), ..self.clone() }
    }
}

/// A part of a target that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// Not a login name.
    #[error(
        "{0:?} is not an OS user: 1 to 32 letters, digits and @ . _ -, not starting with a digit or sign"
    )]
    OsUser(String),
    /// Not a container's name.
    #[error("{0:?} is not a container name: letters, digits and _ . -, starting with a letter or digit")]
    Container(String),
    /// Nothing that names an instance.
    #[error(
        "{0:?} names no instance: it must be an id (i-…), a private address, a workspace's UUID or a Name tag \
         (`name:` before one that reads like something else)"
    )]
    InstanceName(String),
    /// Not the name of an environment variable.
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
            /// The name as text.
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
    /// `ec2-user`, as aws-cli's.
    fn default() -> Self {
        Self("ec2-user".into())
    }
}

name! {
    /// A container's name or id as Docker takes it: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 255 characters. It
    /// cannot be taken for an option, and needs no quoting in any shell.
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
    fn names_cannot_carry_a_command_or_an_option() {
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
