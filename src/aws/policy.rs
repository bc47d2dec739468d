//! The least-privilege IAM policy of a user who opens terminals.
//!
//! `OpenTunnel` is authorized on the endpoint's ARN, `SendSSHPublicKey` on the instance's, and the describe calls
//! support no resource but `*` (service authorization reference, "Amazon EC2 Instance Connect" and "Amazon EC2"). A
//! tag condition therefore applies to the endpoint for a tunnel and to the instance for a key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use eice_proto::{EndpointId, InstanceId, MaxDuration, RemotePort};
use serde::Serialize;

use super::action::Action;
use super::cidr::Cidr;
use super::partition::partition;
use crate::model::{OneOrMany, OsUser, Statement};

/// The IAM action of a tunnel, which is not an SDK call.
const OPEN_TUNNEL: &str = "ec2-instance-connect:OpenTunnel";
/// The wildcard for unknown names.
const ANY: &str = "*";

/// An IAM policy document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    version: &'static str,
    statement: Vec<Statement>,
}

/// A tag required of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A string that is not `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a tag: expected KEY=VALUE, with a key of 1 to 128 and a value of up to 256 characters")]
#[non_exhaustive]
pub struct InvalidTag(String);

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        /// Longer input is truncated in the error, in characters.
        const MAX_SHOWN: usize = 64;
        match text.split_once('=') {
            Some((key, value))
                if (1..=128).contains(&key.chars().count())
                    && value.chars().count() <= 256
                    && !text.chars().any(char::is_control) =>
            {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err(InvalidTag(text.chars().take(MAX_SHOWN).collect())),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// Partition, region and account of ARNs; `None` matches any.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ArnScope {
    /// The partition; by default the region's, or `aws`.
    pub partition: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The account.
    pub account: Option<String>,
}

impl ArnScope {
    /// Creates a scope of `region` and `account`.
    #[must_use]
    pub fn new(region: Option<String>, account: Option<String>) -> Self {
        Self { partition: None, region, account }
    }

    /// Returns the ARN of the EC2 resource `kind/id`.
    fn arn(&self, kind: &str, id: &str) -> String {
        let region = self.region.as_deref();
        let partition = self.partition.as_deref().unwrap_or_else(|| partition(region.unwrap_or_default()));
        let account = self.account.as_deref().unwrap_or(ANY);
        format!("arn:{partition}:ec2:{}:{account}:{kind}/{id}", region.unwrap_or(ANY))
    }
}

/// One permitted path to a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// Partition, region and account of endpoint and instance.
    pub scope: ArnScope,
    /// The endpoint; `None` matches any.
    pub endpoint: Option<EndpointId>,
    /// The instance; `None` matches any.
    pub instance: Option<InstanceId>,
    /// The login name.
    pub os_user: OsUser,
    /// The port.
    pub port: RemotePort,
    /// The private addresses; empty matches any.
    pub addresses: BTreeSet<Cidr>,
    /// The maximum duration of a tunnel. A request without a duration counts as 3600 s.
    pub max_duration: MaxDuration,
}

impl Grant {
    /// Grants any endpoint and instance in `scope`, as `os_user`, on port 22, for the service's maximum duration.
    #[must_use]
    pub fn new(scope: ArnScope, os_user: OsUser) -> Self {
        Self {
            scope,
            endpoint: None,
            instance: None,
            os_user,
            port: RemotePort::SSH,
            addresses: BTreeSet::new(),
            max_duration: MaxDuration::MAX,
        }
    }

    fn endpoint_arn(&self) -> String {
        self.scope.arn("instance-connect-endpoint", self.endpoint.as_ref().map_or(ANY, EndpointId::as_str))
    }

    fn instance_arn(&self) -> String {
        self.scope.arn("instance", self.instance.as_ref().map_or(ANY, InstanceId::as_str))
    }

    /// Returns the statement that allows the tunnel.
    #[must_use]
    pub fn tunnel_statement(&self, tag: Option<&Tag>) -> Statement {
        let limits = Limits::of(self);
        limits.statement("Tunnel".into(), OneOrMany::from(self.endpoint_arn()), [self.port].into(), tag)
    }

    /// Returns the statement that allows the key push.
    #[must_use]
    pub fn key_statement(&self, tag: Option<&Tag>) -> Statement {
        key_statement(
            "Key".into(),
            OneOrMany::from(self.instance_arn()),
            OneOrMany::from(self.os_user.to_string()),
            tag,
        )
    }
}

/// Permissions besides tunnels and keys, and the tags that a policy requires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extras {
    /// The describe calls to allow.
    pub describes: BTreeSet<Describe>,
    /// Allow reading the instances' console output, which contains their host keys.
    pub console: bool,
    /// ARNs of the roles that may be assumed.
    pub roles: BTreeSet<String>,
    /// The tag required of an instance.
    pub instance_tag: Option<Tag>,
    /// The tag required of an endpoint.
    pub endpoint_tag: Option<Tag>,
}

/// A describe call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Describe {
    /// `DescribeInstances`.
    Instances,
    /// `DescribeInstanceConnectEndpoints`.
    Endpoints,
    /// `DescribeSecurityGroups`.
    SecurityGroups,
}

impl Describe {
    fn action(self) -> Action {
        match self {
            Self::Instances => Action::DescribeInstances,
            Self::Endpoints => Action::DescribeInstanceConnectEndpoints,
            Self::SecurityGroups => Action::DescribeSecurityGroups,
        }
    }
}

/// Returns the statement that allows `describes`.
#[must_use]
pub fn lookup_statement(describes: &BTreeSet<Describe>) -> Statement {
    let actions = describes.iter().map(|describe| describe.action().permission());
    Statement::allow("Lookup", actions.collect::<OneOrMany>(), ANY)
}

impl PolicyDocument {
    /// The maximum length of a managed policy, in characters without white space (IAM user guide, "IAM and AWS STS
    /// quotas").
    pub const MAX_LEN: usize = 6144;

    /// Builds the policy that allows all `grants` and `extras`.
    ///
    /// Grants that differ in a single property share a statement. Others get separate statements, so that no
    /// combination is allowed that no grant asks for.
    #[must_use]
    pub fn of(grants: &[Grant], extras: &Extras) -> Self {
        let mut statement = Vec::new();
        if !extras.describes.is_empty() {
            statement.push(lookup_statement(&extras.describes));
        }
        statement.extend(tunnel_statements(grants, extras.endpoint_tag.as_ref()));
        statement.extend(key_statements(grants, extras.instance_tag.as_ref()));
        if extras.console && !grants.is_empty() {
            let arns: BTreeSet<_> = grants.iter().map(Grant::instance_arn).collect();
            let console = Statement::allow(
                "Console",
                Action::GetConsoleOutput.permission(),
                arns.iter().collect::<OneOrMany>(),
            );
            statement.push(tagged(console, extras.instance_tag.as_ref()));
        }
        if !extras.roles.is_empty() {
            let action = Action::AssumeRole.permission();
            statement.push(Statement::allow("Roles", action, extras.roles.iter().collect::<OneOrMany>()));
        }
        Self { version: "2012-10-17", statement }
    }

    /// Returns the length by IAM's rules: in characters, without white space.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a policy is never empty")]
    pub fn len(&self) -> usize {
        self.to_string().chars().filter(|c| !c.is_whitespace()).count()
    }
}

impl fmt::Display for PolicyDocument {
    /// Writes the document as indented JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?)
    }
}

/// The conditions of a tunnel, except for the port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Limits {
    addresses: BTreeSet<Cidr>,
    max_duration: u16,
}

impl Limits {
    fn of(grant: &Grant) -> Self {
        Self { addresses: grant.addresses.clone(), max_duration: grant.max_duration.as_secs() }
    }

    fn statement(
        &self,
        sid: String,
        endpoints: OneOrMany,
        ports: BTreeSet<RemotePort>,
        tag: Option<&Tag>,
    ) -> Statement {
        let key = |name: &str| format!("ec2-instance-connect:{name}");
        let statement = Statement::allow(sid, OPEN_TUNNEL, endpoints)
            .when("NumericEquals", key("remotePort"), ports.iter().collect::<OneOrMany>())
            .when("IpAddress", key("privateIpAddress"), self.addresses.iter().collect::<OneOrMany>())
            .when("NumericLessThanEquals", key("maxTunnelDuration"), self.max_duration.to_string());
        tagged(statement, tag)
    }
}

fn tunnel_statements(grants: &[Grant], tag: Option<&Tag>) -> Vec<Statement> {
    // Merge the addresses by duration, endpoint and port; then the endpoints with equal conditions; then the ports.
    let mut addresses: BTreeMap<(u16, RemotePort, String), Option<BTreeSet<Cidr>>> = BTreeMap::new();
    for grant in grants {
        let key = (grant.max_duration.as_secs(), grant.port, grant.endpoint_arn());
        let known = addresses.entry(key).or_insert_with(|| Some(BTreeSet::new()));
        match known {
            // A grant for any address covers the others.
            _ if grant.addresses.is_empty() => *known = None,
            Some(known) => known.extend(&grant.addresses),
            None => {}
        }
    }
    let mut endpoints: BTreeMap<(Limits, RemotePort), BTreeSet<String>> = BTreeMap::new();
    for ((max_duration, port, endpoint), addresses) in addresses {
        let limits = Limits { addresses: addresses.unwrap_or_default(), max_duration };
        endpoints.entry((limits, port)).or_default().insert(endpoint);
    }
    let mut ports: BTreeMap<(Limits, BTreeSet<String>), BTreeSet<RemotePort>> = BTreeMap::new();
    for ((limits, port), endpoints) in endpoints {
        ports.entry((limits, endpoints)).or_default().insert(port);
    }
    let statements = ports.into_iter().zip(1..).map(|(((limits, endpoints), ports), n)| {
        limits.statement(sid("Tunnel", n), endpoints.iter().collect(), ports, tag)
    });
    statements.collect()
}

fn key_statements(grants: &[Grant], tag: Option<&Tag>) -> Vec<Statement> {
    let mut instances: BTreeMap<&OsUser, BTreeSet<String>> = BTreeMap::new();
    for grant in grants {
        instances.entry(&grant.os_user).or_default().insert(grant.instance_arn());
    }
    let mut users: BTreeMap<BTreeSet<String>, BTreeSet<&OsUser>> = BTreeMap::new();
    for (user, instances) in instances {
        users.entry(instances).or_default().insert(user);
    }
    let statements = users.into_iter().zip(1..).map(|((instances, users), n)| {
        key_statement(sid("Key", n), instances.iter().collect(), users.iter().collect(), tag)
    });
    statements.collect()
}

fn key_statement(sid: String, instances: OneOrMany, users: OneOrMany, tag: Option<&Tag>) -> Statement {
    let action = Action::SendSshPublicKey.permission();
    tagged(Statement::allow(sid, action, instances).when("StringEquals", "ec2:osuser", users), tag)
}

fn tagged(statement: Statement, tag: Option<&Tag>) -> Statement {
    match tag {
        Some(tag) => {
            let key = format!("aws:ResourceTag/{}", tag.key);
            statement.when("StringEquals", key, tag.value.as_str())
        }
        None => statement,
    }
}

/// Numbers statement ids from the second on: `Key`, `Key2`.
fn sid(kind: &str, n: usize) -> String {
    if n == 1 { kind.to_owned() } else { format!("{kind}{n}") }
}

#[cfg(test)]
mod tests;
