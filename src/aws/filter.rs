//! Filters of EC2's describe calls.

use std::net::IpAddr;

use eice_proto::EndpointId;

use super::model::{EndpointState, InstanceState};

/// A query for endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EndpointQuery {
    /// The endpoint with this id.
    pub id: Option<EndpointId>,
    /// The endpoints of this VPC.
    pub vpc_id: Option<String>,
    /// Stop paginating at the first endpoint in this subnet: it will be chosen (aws-cli `eicefetcher.py`).
    pub stop_at_subnet: Option<String>,
    /// Include endpoints that are currently unusable.
    pub any_state: bool,
}

impl EndpointQuery {
    /// Matches the endpoint `id`, if it is usable.
    #[must_use]
    pub fn by_id(id: EndpointId) -> Self {
        Self { id: Some(id), vpc_id: None, stop_at_subnet: None, any_state: false }
    }

    /// Matches every usable endpoint of the region.
    #[must_use]
    pub fn all() -> Self {
        Self { id: None, vpc_id: None, stop_at_subnet: None, any_state: false }
    }

    /// Matches the usable endpoints of the VPC `vpc_id`.
    #[must_use]
    pub fn in_vpc(vpc_id: impl Into<String>) -> Self {
        Self { id: None, vpc_id: Some(vpc_id.into()), stop_at_subnet: None, any_state: false }
    }

    /// Stops paginating at the first endpoint in `subnet_id`.
    #[must_use]
    pub fn stop_at_subnet(mut self, subnet_id: Option<String>) -> Self {
        self.stop_at_subnet = subnet_id;
        self
    }

    /// Includes endpoints in any state, and reads all pages.
    #[must_use]
    pub fn any_state(mut self) -> Self {
        self.any_state = true;
        self.stop_at_subnet = None;
        self
    }

    /// Returns the request parameters in the form that aws-cli sends (protocol reference, section i).
    pub(super) fn params(&self) -> Vec<(String, String)> {
        let mut filters: Vec<(&str, Vec<&str>)> = Vec::new();
        if !self.any_state {
            filters.push(("state", EndpointState::USABLE.iter().map(EndpointState::as_str).collect()));
        }
        if let Some(vpc_id) = &self.vpc_id {
            filters.push(("vpc-id", vec![vpc_id]));
        }
        let mut params = filter_params(&filters);
        if let Some(id) = &self.id {
            params.push(("InstanceConnectEndpointId.1".to_owned(), id.to_string()));
        }
        params
    }
}

/// A filter for instances. Terminated ones never match: their names and addresses may have been reused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstanceFilter {
    /// Instances with this private address.
    PrivateAddress(IpAddr),
    /// Instances whose tag `key` has exactly this value.
    Tag {
        /// The tag's key.
        key: String,
        /// Its value.
        value: String,
    },
}

impl InstanceFilter {
    pub(super) fn params(&self) -> Vec<(String, String)> {
        const ALIVE: [InstanceState; 4] =
            [InstanceState::Pending, InstanceState::Running, InstanceState::Stopping, InstanceState::Stopped];
        let (name, value) = match self {
            Self::PrivateAddress(IpAddr::V4(address)) => {
                ("private-ip-address".to_owned(), address.to_string())
            }
            Self::PrivateAddress(IpAddr::V6(address)) => {
                ("network-interface.ipv6-addresses.ipv6-address".to_owned(), address.to_string())
            }
            Self::Tag { key, value } => (format!("tag:{key}"), escape_wildcards(value)),
        };
        let states = ALIVE.iter().map(InstanceState::as_str).collect();
        filter_params(&[(name.as_str(), vec![value.as_str()]), ("instance-state-name", states)])
    }
}

/// Escapes the wildcards of EC2's filters: `*`, `?` and the backslash (EC2 API reference, "Filter").
fn escape_wildcards(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '*' | '?' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// Returns `Filter.N.Name` and `Filter.N.Value.M` parameters.
pub(super) fn filter_params(filters: &[(&str, Vec<&str>)]) -> Vec<(String, String)> {
    let mut params = Vec::new();
    for (n, (name, values)) in filters.iter().enumerate() {
        params.push((format!("Filter.{}.Name", n + 1), (*name).to_owned()));
        for (m, value) in values.iter().enumerate() {
            params.push((format!("Filter.{}.Value.{}", n + 1, m + 1), (*value).to_owned()));
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_query_matches_aws_cli() {
        let text = |query: &EndpointQuery| {
            query.params().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        };
        assert_eq!(
            text(&EndpointQuery::in_vpc("vpc-1").stop_at_subnet(Some("subnet-1".into()))),
            "Filter.1.Name=state&Filter.1.Value.1=create-complete&Filter.1.Value.2=update-in-progress\
             &Filter.1.Value.3=update-failed&Filter.1.Value.4=update-complete&Filter.2.Name=vpc-id\
             &Filter.2.Value.1=vpc-1"
        );
        assert_eq!(
            text(&EndpointQuery::by_id("eice-1".parse().unwrap())),
            "Filter.1.Name=state&Filter.1.Value.1=create-complete&Filter.1.Value.2=update-in-progress\
             &Filter.1.Value.3=update-failed&Filter.1.Value.4=update-complete&InstanceConnectEndpointId.1=eice-1"
        );
        assert_eq!(
            text(&EndpointQuery::in_vpc("vpc-1").any_state()),
            "Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1"
        );
    }

    #[test]
    fn tag_wildcards_are_escaped() {
        let filter = InstanceFilter::Tag { key: "Name".into(), value: r"a*b?c\d".into() };
        assert_eq!(filter.params()[0].1, "tag:Name");
        assert_eq!(filter.params()[1].1, r"a\*b\?c\\d");
        let address = InstanceFilter::PrivateAddress("fd00::1".parse().unwrap());
        assert_eq!(address.params()[0].1, "network-interface.ipv6-addresses.ipv6-address");
        assert!(address.params().iter().all(|(_, value)| value != "terminated"));
    }
}
