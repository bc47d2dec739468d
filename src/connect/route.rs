//! The route to an instance.

use std::net::IpAddr;

use eice_proto::{Authority, EndpointId};

use crate::aws::{ChosenEndpoint, Instance, RouteRequest};
use crate::model::{Fault, InstanceTarget, Stage, StageError};

/// The route to an instance through an endpoint.
pub(super) struct Route {
    pub(super) chosen: ChosenEndpoint,
    pub(super) authority: Authority,
    /// The account that owns the instance, if it was looked up.
    pub(super) account: Option<String>,
}

/// Where a tunnel goes: everything that a policy must allow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TunnelTarget {
    /// The region.
    pub region: String,
    /// The account that owns the instance, or the caller's if nothing was looked up.
    pub account: String,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The private address.
    pub address: IpAddr,
}

impl Route {
    /// Returns the route through `chosen` to an instance of `account`.
    pub(super) fn new(chosen: ChosenEndpoint, account: Option<String>) -> Result<Self, StageError> {
        let authority = chosen.dns_name.parse().map_err(|error| {
            let message = format!("{:?} is not the DNS name of an endpoint", chosen.dns_name);
            StageError::new(Stage::Endpoint, Fault::Usage, message).with_source(error)
        })?;
        Ok(Self { chosen, authority, account })
    }
}

/// The path to an instance.
pub(super) enum ConnectPath {
    Endpoint(Route),
    Direct {
        address: IpAddr,
        /// The account that owns the instance.
        account: Option<String>,
    },
}

impl ConnectPath {
    /// Returns the account that owns the instance, if it was looked up.
    pub(super) fn account(&self) -> Option<&str> {
        match self {
            Self::Endpoint(route) => route.account.as_deref(),
            Self::Direct { account, .. } => account.as_deref(),
        }
    }
}

/// Returns the request for an endpoint for `target`, whose description is `instance` if it was looked up.
pub(super) fn route_request<'a>(
    target: &'a InstanceTarget,
    instance: Option<&'a Instance>,
) -> RouteRequest<'a> {
    let mut request = RouteRequest::new(&target.endpoint, instance);
    request.address = target.private_address;
    request.family = target.address_family;
    request
}
