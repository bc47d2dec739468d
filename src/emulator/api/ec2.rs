//! The EC2 Query API.

mod console;
mod groups;

use eice_proto::EndpointId;

use super::fault::ApiError;
use super::form::{Filter, Form};
use super::page::{max_results, page};
use super::xml::{EC2_NAMESPACE, Xml};
use super::{CallError, CallResponse, Context, Service};
use crate::emulator::clock::iso8601;
use crate::emulator::policy;
use crate::emulator::world::{Endpoint, Instance, World};
use console::get_console_output;
use groups::describe_security_groups;

pub(super) fn call(context: &Context<'_>, action: &str, form: &Form) -> Result<CallResponse, CallError> {
    match form.get("Version") {
        Some("2016-11-15") => {}
        version => {
            let version = version.unwrap_or_default();
            let message = format!("The action {action} is not valid for version {version}");
            return Err(ApiError::new(400, "InvalidAction", message).into());
        }
    }
    let body = match action {
        "DescribeInstances" => describe_instances(context, form)?,
        "DescribeInstanceConnectEndpoints" => describe_endpoints(context, form)?,
        "DescribeSecurityGroups" => describe_security_groups(context, form)?,
        "GetConsoleOutput" => get_console_output(context, form)?,
        _ => return Err(ApiError::invalid_action(Service::Ec2, action).into()),
    };
    Ok(CallResponse { body, ..CallResponse::default() })
}

/// Rejects a caller who may not do `action` on `*`, the only resource of a describe call.
fn authorize(context: &Context<'_>, action: &str) -> Result<(), ApiError> {
    let (world, none) = (context.world, policy::Context::default());
    match world.denial(context.caller, action, "*", none, context.source) {
        // EC2 omits the resource in this case.
        Some(sentence) => Err(ApiError::denied(Service::Ec2, &sentence.replace(" on resource: *", ""))),
        None => Ok(()),
    }
}

/// Returns whether every filter matches; `field` returns an item's values by the filter's name.
fn filtered(
    filters: &[Filter],
    tags: &std::collections::BTreeMap<String, String>,
    field: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<bool, ApiError> {
    for filter in filters {
        let holds = match filter.matches_tags(tags) {
            Some(holds) => holds,
            None => field(&filter.name)
                .ok_or_else(|| ApiError::parameter(format!("The filter '{}' is invalid", filter.name)))?
                .iter()
                .any(|value| filter.matches(value)),
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether `id` is `prefix` and 8 or 17 hex digits.
fn is_well_formed(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix).is_some_and(|rest| {
        matches!(rest.len(), 8 | 17) && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn describe_instances(context: &Context<'_>, form: &Form) -> Result<String, ApiError> {
    authorize(context, "ec2:DescribeInstances")?;
    let world = context.world;
    let wanted = form.list("InstanceId");
    if !wanted.is_empty() && form.get("MaxResults").is_some() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(ApiError::new(400, "InvalidParameterCombination", message));
    }
    let size = max_results(form.get("MaxResults"), 5..=1000)?;
    let all = world.state().instances.clone();
    find_instances(&wanted, &all)?;
    let mut found = Vec::new();
    let filters = form.filters();
    for instance in all {
        let spec = &instance.spec;
        let is_wanted = wanted.is_empty() || wanted.contains(&spec.id.as_str());
        let address = |address: Option<String>| address.into_iter().collect();
        let field = |name: &str| {
            Some(match name {
                "instance-id" => vec![spec.id.to_string()],
                "instance-state-name" => vec![spec.state.code_and_name().1.into()],
                "instance-state-code" => vec![spec.state.code_and_name().0.to_string()],
                "vpc-id" => vec![spec.vpc.clone()],
                "subnet-id" => vec![spec.subnet.clone()],
                "availability-zone" => vec![zone(world, &spec.availability_zone)],
                "image-id" => vec![spec.image.clone()],
                "instance-type" => vec![spec.instance_type.clone()],
                "private-ip-address" => address(spec.private_ip.map(|ip| ip.to_string())),
                "network-interface.ipv6-addresses.ipv6-address" => {
                    address(spec.ipv6.map(|ip| ip.to_string()))
                }
                "ip-address" => address(spec.public_ip.map(|ip| ip.to_string())),
                "instance.group-id" | "network-interface.group-id" => spec.security_groups.clone(),
                "owner-id" => vec![world.account_id.clone()],
                _ => return None,
            })
        };
        if filtered(&filters, &spec.tags, field)? && is_wanted {
            found.push(instance);
        }
    }
    let page = page("DescribeInstances", found, size, form.get("NextToken"))?;
    Ok(Xml::document("DescribeInstancesResponse", EC2_NAMESPACE, |xml| {
        xml.text("requestId", context.request_id);
        xml.items("reservationSet", &page.items, |xml, instance| write_reservation(xml, world, instance));
        xml.option("nextToken", page.next_token);
    }))
}

fn find_instances(wanted: &[&str], all: &[Instance]) -> Result<(), ApiError> {
    let is_known = |id: &&str| all.iter().any(|instance| instance.spec.id.as_str() == *id);
    let unknown: Vec<&str> = wanted.iter().copied().filter(|id| !is_known(id)).collect();
    if let Some(id) = unknown.iter().find(|id| !is_well_formed(id, "i-")) {
        return Err(ApiError::new(400, "InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\"")));
    }
    let message = match unknown.as_slice() {
        [] => return Ok(()),
        [id] => format!("The instance ID '{id}' does not exist"),
        ids => format!("The instance IDs '{}' do not exist", ids.join(", ")),
    };
    Err(ApiError::new(400, "InvalidInstanceID.NotFound", message))
}

/// Returns the availability zone: the region's `a` if none is configured.
fn zone(world: &World, zone: &str) -> String {
    if zone.is_empty() { format!("{}a", world.region) } else { zone.to_owned() }
}

fn group_name(world: &World, id: &str) -> String {
    let state = world.state();
    let found = state.security_groups.iter().find(|group| group.id == id);
    found.map(|group| group.name.clone()).unwrap_or_default()
}

fn write_tags(xml: &mut Xml, tags: &std::collections::BTreeMap<String, String>) {
    xml.items("tagSet", tags, |xml, (key, value)| {
        xml.text("key", key);
        xml.text("value", value);
    });
}

/// Returns a stable id that is derived from another one.
fn derived(prefix: &str, id: &str) -> String {
    format!("{prefix}{}", id.split_once('-').map_or(id, |(_, rest)| rest))
}

fn write_reservation(xml: &mut Xml, world: &World, instance: &Instance) {
    let spec = &instance.spec;
    let groups: Vec<(String, String)> =
        spec.security_groups.iter().map(|id| (id.clone(), group_name(world, id))).collect();
    let write_groups = |xml: &mut Xml| {
        xml.items("groupSet", &groups, |xml, (id, name)| {
            xml.text("groupId", id);
            xml.text("groupName", name);
        });
    };
    let private_dns = spec.private_ip.map_or_else(String::new, |ip| {
        format!("ip-{}.{}.compute.internal", ip.to_string().replace('.', "-"), world.region)
    });
    xml.text("reservationId", derived("r-", spec.id.as_str()));
    xml.text("ownerId", &world.account_id);
    xml.items("groupSet", std::iter::empty::<()>(), |_, ()| {});
    xml.element("instancesSet", |xml| {
        xml.element("item", |xml| {
            let (code, name) = spec.state.code_and_name();
            xml.text("instanceId", &spec.id);
            xml.text("imageId", &spec.image);
            xml.element("instanceState", |xml| {
                xml.text("code", code);
                xml.text("name", name);
            });
            xml.text("privateDnsName", &private_dns);
            xml.text("dnsName", "");
            xml.text("reason", "");
            xml.text("amiLaunchIndex", 0);
            xml.text("instanceType", &spec.instance_type);
            xml.text("launchTime", iso8601(instance.launched).replace('Z', ".000Z"));
            xml.element("placement", |xml| {
                xml.text("availabilityZone", zone(world, &spec.availability_zone));
                xml.text("tenancy", "default");
            });
            xml.option("platform", spec.platform.as_ref());
            xml.text("subnetId", &spec.subnet);
            xml.text("vpcId", &spec.vpc);
            xml.option("privateIpAddress", spec.private_ip);
            xml.option("ipAddress", spec.public_ip);
            xml.option("ipv6Address", spec.ipv6);
            xml.text("architecture", "x86_64");
            write_groups(xml);
            write_tags(xml, &spec.tags);
            xml.element("networkInterfaceSet", |xml| {
                xml.element("item", |xml| {
                    xml.text("networkInterfaceId", derived("eni-", spec.id.as_str()));
                    xml.text("subnetId", &spec.subnet);
                    xml.text("vpcId", &spec.vpc);
                    xml.text("ownerId", &world.account_id);
                    xml.text("status", "in-use");
                    xml.option("privateIpAddress", spec.private_ip);
                    write_groups(xml);
                    xml.items("ipv6AddressesSet", spec.ipv6, |xml, address| {
                        xml.text("ipv6Address", address);
                        xml.text("isPrimaryIpv6", false);
                    });
                });
            });
        });
    });
}

fn describe_endpoints(context: &Context<'_>, form: &Form) -> Result<String, ApiError> {
    authorize(context, "ec2:DescribeInstanceConnectEndpoints")?;
    let world = context.world;
    let wanted = form.list("InstanceConnectEndpointId");
    let size = max_results(form.get("MaxResults"), 1..=50)?;
    let all = world.state().endpoints.clone();
    for id in &wanted {
        if id.parse::<EndpointId>().is_ok_and(|id| all.iter().any(|endpoint| endpoint.spec.id == id)) {
            continue;
        }
        // A known id in a state that the filter excludes yields an empty set; an unknown id is an error.
        let (code, message) = if is_well_formed(id, "eice-") {
            let message = format!("The instance connect endpoint ID '{id}' does not exist");
            ("InvalidInstanceConnectEndpointId.NotFound", message)
        } else {
            let message = format!(
                "The ID '{id}' is not valid. Ensure that you specify the ID in the form eice-xxxxxxxxxxxxxxxxx."
            );
            ("InvalidInstanceConnectEndpointId.Malformed", message)
        };
        return Err(ApiError::new(400, code, message));
    }
    let filters = form.filters();
    let mut found = Vec::new();
    for endpoint in all {
        let spec = &endpoint.spec;
        let field = |name: &str| {
            Some(match name {
                "instance-connect-endpoint-id" => vec![spec.id.to_string()],
                "state" => vec![spec.state.name().into()],
                "subnet-id" => vec![spec.subnet.clone()],
                "vpc-id" => vec![spec.vpc.clone()],
                _ => return None,
            })
        };
        let is_wanted = wanted.is_empty() || wanted.contains(&spec.id.as_str());
        if filtered(&filters, &spec.tags, field)? && is_wanted {
            found.push(endpoint);
        }
    }
    let page = page("DescribeInstanceConnectEndpoints", found, size, form.get("NextToken"))?;
    Ok(Xml::document("DescribeInstanceConnectEndpointsResponse", EC2_NAMESPACE, |xml| {
        xml.text("requestId", context.request_id);
        xml.items("instanceConnectEndpointSet", &page.items, |xml, endpoint| {
            write_endpoint(xml, world, endpoint);
        });
        xml.option("nextToken", page.next_token);
    }))
}

fn write_endpoint(xml: &mut Xml, world: &World, endpoint: &Endpoint) {
    let spec = &endpoint.spec;
    let dns_name = spec.dns_name.as_ref().unwrap_or(&world.tunnel_authority);
    xml.text("ownerId", &world.account_id);
    xml.text("instanceConnectEndpointId", &spec.id);
    let arn = world.ec2_arn("instance-connect-endpoint", spec.id.as_str());
    xml.text("instanceConnectEndpointArn", arn);
    xml.text("state", spec.state.name());
    xml.text("stateMessage", spec.state_message.as_deref().unwrap_or_default());
    xml.text("dnsName", dns_name);
    xml.text("fipsDnsName", spec.fips_dns_name.as_deref().unwrap_or_default());
    xml.texts("networkInterfaceIdSet", [derived("eni-", spec.id.as_str())]);
    xml.text("vpcId", &spec.vpc);
    xml.text("availabilityZone", zone(world, &spec.availability_zone));
    xml.text("availabilityZoneId", format!("{}-az1", world.region.replace("-", "")));
    xml.text("createdAt", iso8601(endpoint.created).replace('Z', ".000Z"));
    xml.text("subnetId", &spec.subnet);
    xml.text("preserveClientIp", spec.preserve_client_ip);
    xml.texts("securityGroupIdSet", &spec.security_groups);
    write_tags(xml, &spec.tags);
    xml.text("ipAddressType", spec.address_type.name());
    xml.element("publicDnsNames", |xml| {
        xml.element("ipv4", |xml| {
            xml.text("dnsName", dns_name);
            xml.option("fipsDnsName", spec.fips_dns_name.as_ref());
        });
        if let Some(name) = &spec.dualstack_dns_name {
            xml.element("dualstack", |xml| xml.text("dnsName", name));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_format_matches_ec2() {
        assert!(is_well_formed("i-0123456789abcdef0", "i-") && is_well_formed("i-01234567", "i-"));
        for bad in ["i-0", "i-0123456789ABCDEF0", "i-0123456789abcdef", "mi-0123456789abcdef0", ""] {
            assert!(!is_well_formed(bad, "i-"), "{bad}");
        }
    }
}
