//! An endpoint of the emulated account.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use eice_proto::EndpointId;
use serde::Deserialize;

use super::{ENDPOINT_GROUP, known, parsed};

/// An EC2 Instance Connect Endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointSpec {
    /// Its id.
    #[serde(deserialize_with = "parsed")]
    pub id: EndpointId,
    /// Its state. The default is `create-complete`.
    pub state: EndpointState,
    /// The state message in DescribeInstanceConnectEndpoints, for a failed endpoint.
    pub state_message: Option<String>,
    /// Its VPC.
    pub vpc: String,
    /// Its subnet.
    pub subnet: String,
    /// Its availability zone; empty means the region's `a`.
    pub availability_zone: String,
    /// Its DNS name in responses, with `:port` unless that is 443. The default, `None`, is the loopback
    /// listener.
    pub dns_name: Option<String>,
    /// Its FIPS name in responses. The default is none.
    pub fips_dns_name: Option<String>,
    /// Its dual-stack name in responses. The default is none.
    pub dualstack_dns_name: Option<String>,
    /// The address family that it supports. The default is IPv4.
    pub address_type: AddressType,
    /// Its address in its subnet, which CIDR rules of security groups are matched against.
    pub private_ip: Ipv4Addr,
    /// The ids of its security groups.
    pub security_groups: Vec<String>,
    /// Its tags. The default has `Role=workspace`.
    pub tags: BTreeMap<String, String>,
    /// Whether the client's address is preserved, so that CIDR rules are matched against it.
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

/// The address family that an endpoint supports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AddressType {
    /// IPv4 only.
    #[default]
    Ipv4,
    /// IPv4 and IPv6.
    Dualstack,
    /// IPv6 only.
    Ipv6,
}

impl AddressType {
    /// Returns whether an endpoint of this type can reach `address`.
    #[must_use]
    pub fn reaches(self, address: IpAddr) -> bool {
        match self {
            Self::Ipv4 => address.is_ipv4(),
            Self::Dualstack => true,
            Self::Ipv6 => address.is_ipv6(),
        }
    }

    /// Returns the API's name of it.
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
#[allow(missing_docs, reason = "the names are the API's own")]
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
    /// Returns the API's name of it.
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

    /// Returns whether it can open tunnels: the four states that aws-cli accepts (`eicefetcher.py`).
    #[must_use]
    pub fn is_usable(self) -> bool {
        matches!(
            self,
            Self::CreateComplete | Self::UpdateInProgress | Self::UpdateComplete | Self::UpdateFailed
        )
    }
}
