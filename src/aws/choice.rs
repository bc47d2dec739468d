//! Selects the endpoint and the address of a tunnel: a pure function.
//!
//! The rules are those of aws-cli (`eicefetcher.py`; protocol reference, section e) with two improvements: the
//! dual-stack name is used when the caller asks for dual-stack endpoints, and an endpoint is skipped when its
//! `ipAddressType` cannot carry any address of the instance.

use std::net::IpAddr;

use eice_proto::{EndpointId, InstanceId};

use crate::model::AddressFamily;

use super::model::{DnsNames, Endpoint, EndpointState, Instance, InstanceState, IpAddressType};

/// The criteria that endpoints are matched against.
#[derive(Clone, Debug, Default)]
pub struct EndpointCriteria<'a> {
    /// The instance, when it was looked up.
    pub instance: Option<&'a Instance>,
    /// The endpoint id, when the caller gives one.
    pub endpoint: Option<&'a EndpointId>,
    /// The address, when the caller gives one.
    pub address: Option<IpAddr>,
    /// Which of the instance's addresses may be used.
    pub family: AddressFamily,
    /// Whether the FIPS name must be used.
    pub use_fips: bool,
    /// Whether the dual-stack name is preferred.
    pub use_dualstack: bool,
}

/// The endpoint and the address to use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChosenEndpoint {
    /// The endpoint.
    pub id: EndpointId,
    /// Its DNS name; has a `:port` only when the caller gave one.
    pub dns_name: String,
    /// The instance's private address.
    pub address: IpAddr,
}

impl ChosenEndpoint {
    /// Creates the choice of endpoint `id` at `dns_name`, to `address`.
    #[must_use]
    pub fn new(id: EndpointId, dns_name: impl Into<String>, address: IpAddr) -> Self {
        Self { id, dns_name: dns_name.into(), address }
    }
}

/// Why no endpoint can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// The instance is not running.
    #[error("instance {id} is {state}, not running")]
    InstanceState {
        /// The instance.
        id: InstanceId,
        /// Its state.
        state: InstanceState,
    },
    /// The instance has no private address of the requested family.
    #[error("instance {id} has no private {} address", family_name(*.family))]
    NoAddress {
        /// The instance.
        id: InstanceId,
        /// The requested family.
        family: AddressFamily,
    },
    /// The endpoint must be found by its VPC, but the instance was not looked up or is in no VPC.
    #[error("the instance's VPC is not known")]
    NoVpc,
    /// The VPC has no endpoint.
    #[error("there is no EC2 Instance Connect Endpoint in VPC {vpc_id}")]
    NoEndpoint {
        /// The VPC.
        vpc_id: String,
    },
    /// No endpoint has this id.
    #[error("there is no EC2 Instance Connect Endpoint {id}")]
    NoSuchEndpoint {
        /// The endpoint.
        id: EndpointId,
    },
    /// The endpoint is still being created.
    #[error("EC2 Instance Connect Endpoint {id} is still being created")]
    BeingCreated {
        /// The endpoint.
        id: EndpointId,
    },
    /// The endpoint is in a state that allows no tunnel.
    #[error("EC2 Instance Connect Endpoint {id} is in state {state} and cannot be used")]
    EndpointState {
        /// The endpoint.
        id: EndpointId,
        /// Its state.
        state: EndpointState,
        /// AWS's reason.
        message: Option<String>,
    },
    /// No endpoint carries an address of the requested family.
    #[error(
        "EC2 Instance Connect Endpoint {id} has the IP address type {} and cannot reach {address}",
        .carries.as_str()
    )]
    AddressFamily {
        /// The first endpoint that is otherwise usable.
        id: EndpointId,
        /// The address families it carries.
        carries: IpAddressType,
        /// The address that it cannot reach.
        address: IpAddr,
    },
    /// The endpoint has no FIPS name.
    #[error("EC2 Instance Connect Endpoint {id} has no FIPS DNS name")]
    NoFipsName {
        /// The endpoint.
        id: EndpointId,
    },
    /// The endpoint has no name yet.
    #[error("EC2 Instance Connect Endpoint {id} has no DNS name")]
    NoName {
        /// The endpoint.
        id: EndpointId,
    },
}

impl ChoiceError {
    /// Returns what the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InstanceState { state: InstanceState::Pending, .. } => {
                "the instance is starting: try again in a minute"
            }
            Self::InstanceState { state: InstanceState::Stopped | InstanceState::Stopping, .. } => {
                "start the instance, then try again"
            }
            Self::InstanceState { .. } => "choose an instance that runs",
            Self::NoAddress { .. } => "choose the other address family, or give the private address yourself",
            Self::NoVpc => "give the endpoint and the private address, or allow ec2:DescribeInstances",
            Self::NoEndpoint { .. } => {
                "create an EC2 Instance Connect Endpoint in the instance's VPC, or name one in a connected VPC"
            }
            Self::NoSuchEndpoint { .. } => "check the endpoint's id, the region and the account",
            Self::BeingCreated { .. } => "creation takes a few minutes: try again when it is create-complete",
            Self::EndpointState { .. } => "create a new endpoint, or name another one",
            Self::AddressFamily { .. } => {
                "use an endpoint whose IP address type is that of the instance's address, or dualstack"
            }
            Self::NoFipsName { .. } => "switch FIPS endpoints off, or use an endpoint that has a FIPS name",
            Self::NoName { .. } => "try again when the endpoint is create-complete",
        }
    }
}

fn family_name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Any => "IPv4 or IPv6",
        AddressFamily::Ipv4 => "IPv4",
        AddressFamily::Ipv6 => "IPv6",
    }
}

/// Returns the usable addresses, best first.
///
/// # Errors
/// The instance is not running, or has no address of the family.
pub(super) fn addresses(choice: &EndpointCriteria<'_>) -> Result<Vec<IpAddr>, ChoiceError> {
    if let Some(instance) = choice.instance
        && instance.state != InstanceState::Running
    {
        return Err(ChoiceError::InstanceState { id: instance.id.clone(), state: instance.state.clone() });
    }
    if let Some(address) = choice.address {
        return Ok(vec![address]);
    }
    let Some(instance) = choice.instance else { return Err(ChoiceError::NoVpc) };
    let v4 = instance.private_ipv4.filter(|_| choice.family != AddressFamily::Ipv6);
    let v6 = instance.ipv6.filter(|_| choice.family != AddressFamily::Ipv4);
    let addresses: Vec<_> = v4.into_iter().chain(v6).collect();
    if addresses.is_empty() {
        return Err(ChoiceError::NoAddress { id: instance.id.clone(), family: choice.family });
    }
    Ok(addresses)
}

/// Chooses among `endpoints`, given in the order of AWS's response. Endpoints in unusable states may be included;
/// they only explain why none can be chosen.
///
/// If the criteria name an endpoint, the first usable match is chosen. Otherwise it is the first one in the
/// instance's subnet, else the first one in its VPC.
///
/// # Errors
/// See [`ChoiceError`].
pub fn choose(choice: &EndpointCriteria<'_>, endpoints: &[Endpoint]) -> Result<ChosenEndpoint, ChoiceError> {
    let addresses = addresses(choice)?;
    let vpc_id = choice.instance.and_then(|instance| instance.vpc_id.as_deref());
    let matches = |endpoint: &Endpoint| match choice.endpoint {
        Some(id) => endpoint.id == *id,
        None => vpc_id.is_some() && endpoint.vpc_id.as_deref() == vpc_id,
    };
    if choice.endpoint.is_none() && vpc_id.is_none() {
        return Err(ChoiceError::NoVpc);
    }
    let subnet_id = choice.instance.and_then(|instance| instance.subnet_id.as_deref());
    let in_subnet = |endpoint: &&Endpoint| subnet_id.is_some() && endpoint.subnet_id.as_deref() == subnet_id;
    let usable: Vec<_> = endpoints.iter().filter(|e| matches(e) && e.state.is_usable()).collect();
    let ordered =
        || usable.iter().copied().filter(in_subnet).chain(usable.iter().copied().filter(|e| !in_subnet(e)));
    for endpoint in ordered() {
        if let Some(address) = addresses.iter().find(|a| endpoint.ip_address_type.carries(**a)) {
            return Ok(ChosenEndpoint::new(endpoint.id.clone(), dns_name(choice, endpoint)?, *address));
        }
    }
    if let (Some(endpoint), Some(address)) = (ordered().next(), addresses.first()) {
        return Err(ChoiceError::AddressFamily {
            id: endpoint.id.clone(),
            carries: endpoint.ip_address_type,
            address: *address,
        });
    }
    Err(unusable(choice, vpc_id, endpoints.iter().filter(|e| matches(e))))
}

/// Returns why none of the unusable `endpoints` can be chosen; an endpoint that is being created takes precedence.
fn unusable<'a>(
    choice: &EndpointCriteria<'_>,
    vpc_id: Option<&str>,
    endpoints: impl Iterator<Item = &'a Endpoint> + Clone,
) -> ChoiceError {
    if let Some(endpoint) = endpoints.clone().find(|e| e.state == EndpointState::CreateInProgress) {
        return ChoiceError::BeingCreated { id: endpoint.id.clone() };
    }
    // A deleted endpoint counts as absent unless the caller named it.
    let mut there =
        endpoints.filter(|e| choice.endpoint.is_some() || e.state != EndpointState::DeleteComplete);
    if let Some(endpoint) = there.next() {
        return ChoiceError::EndpointState {
            id: endpoint.id.clone(),
            state: endpoint.state.clone(),
            message: endpoint.state_message.clone(),
        };
    }
    match choice.endpoint {
        Some(id) => ChoiceError::NoSuchEndpoint { id: id.clone() },
        None => ChoiceError::NoEndpoint { vpc_id: vpc_id.unwrap_or_default().to_owned() },
    }
}

/// Returns the FIPS name if FIPS is requested, with no fallback to a plain one; the dual-stack name if that is
/// requested and exists.
fn dns_name(choice: &EndpointCriteria<'_>, endpoint: &Endpoint) -> Result<String, ChoiceError> {
    let pick = |names: &DnsNames| {
        if choice.use_fips { names.fips_dns_name.clone() } else { names.dns_name.clone() }
    };
    let dualstack = choice.use_dualstack.then(|| pick(&endpoint.dualstack_names)).flatten();
    dualstack.or_else(|| pick(&endpoint.names)).ok_or_else(|| {
        let id = endpoint.id.clone();
        if choice.use_fips { ChoiceError::NoFipsName { id } } else { ChoiceError::NoName { id } }
    })
}

#[cfg(test)]
mod tests;
