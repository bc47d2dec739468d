//! Parses EC2's XML responses into the model.
//!
//! Unknown elements are skipped, so that AWS may add to its responses.

mod groups;

use std::net::IpAddr;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::model::{DnsNames, Endpoint, Instance, IpAddressType};
pub(super) use groups::security_groups;

/// The maximum number of items per response; AWS's pages have at most 1000.
const MAX_ITEMS: usize = 4096;

/// One page of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_token: Option<String>,
    pub(super) request_id: Option<String>,
}

/// The body of an error response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) request_id: Option<String>,
}

/// An `itemSet`.
#[derive(Debug, Deserialize)]
struct Set<T> {
    #[serde(default = "Vec::new", rename = "item")]
    items: Vec<T>,
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInstancesResponse {
    request_id: Option<String>,
    #[serde(default)]
    reservation_set: Set<ReservationXml>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReservationXml {
    owner_id: Option<String>,
    #[serde(default)]
    instances_set: Set<InstanceXml>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceXml {
    instance_id: String,
    instance_state: StateXml,
    private_ip_address: Option<String>,
    ip_address: Option<String>,
    ipv6_address: Option<String>,
    vpc_id: Option<String>,
    subnet_id: Option<String>,
    placement: Option<PlacementXml>,
    platform: Option<String>,
    #[serde(default)]
    group_set: Set<GroupXml>,
    #[serde(default)]
    tag_set: Set<TagXml>,
    #[serde(default)]
    network_interface_set: Set<InterfaceXml>,
}

#[derive(Debug, Deserialize)]
struct StateXml {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlacementXml {
    availability_zone: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupXml {
    group_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct TagXml {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceXml {
    #[serde(default)]
    ipv6_addresses_set: Set<Ipv6Xml>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6Xml {
    ipv6_address: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeEndpointsResponse {
    request_id: Option<String>,
    #[serde(default)]
    instance_connect_endpoint_set: Set<EndpointXml>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointXml {
    instance_connect_endpoint_id: String,
    instance_connect_endpoint_arn: Option<String>,
    state: String,
    state_message: Option<String>,
    dns_name: Option<String>,
    fips_dns_name: Option<String>,
    vpc_id: Option<String>,
    subnet_id: Option<String>,
    preserve_client_ip: Option<String>,
    ip_address_type: Option<String>,
    public_dns_names: Option<PublicNamesXml>,
    #[serde(default)]
    security_group_id_set: Set<String>,
    #[serde(default)]
    tag_set: Set<TagXml>,
}

#[derive(Debug, Default, Deserialize)]
struct PublicNamesXml {
    dualstack: Option<NamesXml>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamesXml {
    dns_name: Option<String>,
    fips_dns_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetConsoleOutputResponse {
    instance_id: Option<String>,
    output: Option<String>,
}

/// `<Response><Errors><Error>` from EC2, or `<ErrorResponse><Error>` from the other Query services.
#[derive(Debug, Deserialize)]
struct ErrorResponseXml {
    #[serde(rename = "Errors")]
    errors: Option<ErrorsXml>,
    #[serde(rename = "Error")]
    error: Option<ErrorXml>,
    #[serde(rename = "RequestID", alias = "RequestId", alias = "requestId")]
    request_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ErrorsXml {
    #[serde(default = "Vec::new", rename = "Error")]
    errors: Vec<ErrorXml>,
}

#[derive(Debug, Deserialize)]
struct ErrorXml {
    #[serde(rename = "Code")]
    code: Option<String>,
    #[serde(rename = "Message", default)]
    message: String,
}

fn parse<T: DeserializeOwned>(body: &[u8], root: &str) -> Result<T, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    // The deserializer accepts any root element: an HTML page would parse as an empty response.
    let start = text.find("<?xml").map_or(text, |_| text.split_once("?>").map_or(text, |(_, rest)| rest));
    if !start.trim_start_matches('\u{feff}').trim_start().starts_with(&format!("<{root}")) {
        return Err(format!("it is not a {root}"));
    }
    quick_xml::de::from_str(text).map_err(|error| error.to_string())
}

fn some(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn tags(set: Set<TagXml>) -> Vec<(String, String)> {
    set.items.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

fn address(text: Option<&str>) -> Result<Option<IpAddr>, String> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map(Some).map_err(|_| "it contains an invalid address".to_owned()),
        None => Ok(None),
    }
}

/// Parses a page of `DescribeInstances`.
pub(super) fn instances(body: &[u8]) -> Result<Page<Instance>, String> {
    let response: DescribeInstancesResponse = parse(body, "DescribeInstancesResponse")?;
    let mut items = Vec::new();
    for reservation in response.reservation_set.items {
        for instance in reservation.instances_set.items {
            if items.len() == MAX_ITEMS {
                return Err(format!("it contains more than {MAX_ITEMS} instances"));
            }
            items.push(read_instance(instance, reservation.owner_id.as_deref())?);
        }
    }
    Ok(Page { items, next_token: some(response.next_token), request_id: some(response.request_id) })
}

fn read_instance(xml: InstanceXml, owner: Option<&str>) -> Result<Instance, String> {
    let id = xml.instance_id.parse().map_err(|error: eice_proto::id::InvalidId| error.to_string())?;
    let first_ipv6 = xml
        .network_interface_set
        .items
        .iter()
        .flat_map(|interface| &interface.ipv6_addresses_set.items)
        .find_map(|item| item.ipv6_address.as_deref());
    let ipv6 = xml.ipv6_address.as_deref().filter(|text| !text.is_empty()).or(first_ipv6);
    let mut instance = Instance::new(id, xml.instance_state.name.as_str().into());
    instance.owner = owner.filter(|owner| !owner.is_empty()).map(str::to_owned);
    instance.private_ipv4 = address(xml.private_ip_address.as_deref())?;
    instance.public_ipv4 = address(xml.ip_address.as_deref())?;
    instance.ipv6 = address(ipv6)?;
    instance.vpc_id = some(xml.vpc_id);
    instance.subnet_id = some(xml.subnet_id);
    instance.availability_zone = some(xml.placement.and_then(|placement| placement.availability_zone));
    instance.platform = some(xml.platform);
    instance.security_groups = xml.group_set.items.into_iter().filter_map(|group| group.group_id).collect();
    instance.tags = tags(xml.tag_set);
    Ok(instance)
}

/// Parses a page of `DescribeInstanceConnectEndpoints`.
pub(super) fn endpoints(body: &[u8]) -> Result<Page<Endpoint>, String> {
    let response: DescribeEndpointsResponse = parse(body, "DescribeInstanceConnectEndpointsResponse")?;
    let set = response.instance_connect_endpoint_set.items;
    if set.len() > MAX_ITEMS {
        return Err(format!("it contains more than {MAX_ITEMS} endpoints"));
    }
    let items = set.into_iter().map(read_endpoint).collect::<Result<_, _>>()?;
    Ok(Page { items, next_token: some(response.next_token), request_id: some(response.request_id) })
}

fn read_endpoint(xml: EndpointXml) -> Result<Endpoint, String> {
    let id = xml
        .instance_connect_endpoint_id
        .parse()
        .map_err(|error: eice_proto::id::InvalidId| error.to_string())?;
    let mut endpoint = Endpoint::new(id, xml.state.as_str().into());
    endpoint.state_message = some(xml.state_message);
    endpoint.arn = some(xml.instance_connect_endpoint_arn);
    endpoint.names = DnsNames::new(xml.dns_name, xml.fips_dns_name);
    let dualstack = xml.public_dns_names.unwrap_or_default().dualstack.unwrap_or_default();
    endpoint.dualstack_names = DnsNames::new(dualstack.dns_name, dualstack.fips_dns_name);
    endpoint.vpc_id = some(xml.vpc_id);
    endpoint.subnet_id = some(xml.subnet_id);
    endpoint.ip_address_type = IpAddressType::from(xml.ip_address_type.as_deref().unwrap_or_default());
    endpoint.preserve_client_ip = xml.preserve_client_ip.as_deref() == Some("true");
    endpoint.security_groups = xml.security_group_id_set.items;
    endpoint.tags = tags(xml.tag_set);
    Ok(endpoint)
}

/// Returns the instance id and the base64 output of `GetConsoleOutput`. Errors do not quote the text: it may
/// contain secrets.
pub(super) fn console_output(body: &[u8]) -> Result<(Option<String>, String), String> {
    let root = "GetConsoleOutputResponse";
    let response: GetConsoleOutputResponse = parse(body, root).map_err(|_| format!("it is not a {root}"))?;
    Ok((some(response.instance_id), response.output.unwrap_or_default()))
}

/// Parses an error response; `None` when the body is not one of AWS.
pub(super) fn error_body(body: &[u8]) -> Option<ErrorBody> {
    let response: ErrorResponseXml =
        parse(body, "Response").or_else(|_| parse(body, "ErrorResponse")).ok()?;
    let error = response.errors.and_then(|errors| errors.errors.into_iter().next()).or(response.error)?;
    Some(ErrorBody { code: some(error.code)?, message: error.message, request_id: some(response.request_id) })
}

#[cfg(test)]
mod tests;
