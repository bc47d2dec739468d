//! DescribeSecurityGroups.

use super::super::Context;
use super::super::fault::ApiError;
use super::super::form::Form;
use super::super::page::{max_results, page};
use super::super::xml::{EC2_NAMESPACE, Xml};
use super::{authorize, filtered};
use crate::emulator::config::{SecurityGroupRuleSpec, SecurityGroupSpec};
use crate::emulator::world::World;

pub(super) fn describe_security_groups(context: &Context<'_>, form: &Form) -> Result<String, ApiError> {
    authorize(context, "ec2:DescribeSecurityGroups")?;
    let world = context.world;
    let wanted = form.list("GroupId");
    let size = max_results(form.get("MaxResults"), 5..=1000)?;
    let all = world.state().security_groups.clone();
    if let Some(id) = wanted.iter().find(|id| !all.iter().any(|group| group.id == **id)) {
        let message = format!("The security group '{id}' does not exist");
        return Err(ApiError::new(400, "InvalidGroup.NotFound", message));
    }
    let filters = form.filters();
    let mut found = Vec::new();
    let no_tags = std::collections::BTreeMap::new();
    for group in all {
        let field = |name: &str| {
            Some(match name {
                "group-id" => vec![group.id.clone()],
                "group-name" => vec![group.name.clone()],
                "vpc-id" => vec![group.vpc.clone()],
                _ => return None,
            })
        };
        let is_wanted = wanted.is_empty() || wanted.contains(&group.id.as_str());
        if filtered(&filters, &no_tags, field)? && is_wanted {
            found.push(group);
        }
    }
    let page = page("DescribeSecurityGroups", found, size, form.get("NextToken"))?;
    Ok(Xml::document("DescribeSecurityGroupsResponse", EC2_NAMESPACE, |xml| {
        xml.text("requestId", context.request_id);
        xml.items("securityGroupInfo", &page.items, |xml, group| write_group(xml, world, group));
        xml.option("nextToken", page.next_token);
    }))
}

fn write_group(xml: &mut Xml, world: &World, group: &SecurityGroupSpec) {
    let write_rules = |xml: &mut Xml, name: &str, rules: &[SecurityGroupRuleSpec]| {
        xml.items(name, rules, |xml, rule| {
            match rule.ports {
                Some((from, to)) => {
                    xml.text("ipProtocol", "tcp");
                    xml.text("fromPort", from);
                    xml.text("toPort", to);
                }
                None => xml.text("ipProtocol", -1),
            }
            xml.items("groups", &rule.groups, |xml, id| {
                xml.text("userId", &world.account_id);
                xml.text("groupId", id);
            });
            let (v6, v4): (Vec<_>, Vec<_>) = rule.cidrs.iter().partition(|block| block.contains(':'));
            xml.items("ipRanges", v4, |xml, block| xml.text("cidrIp", block));
            xml.items("ipv6Ranges", v6, |xml, block| xml.text("cidrIpv6", block));
            xml.items("prefixListIds", std::iter::empty::<()>(), |_, ()| {});
        });
    };
    xml.text("ownerId", &world.account_id);
    xml.text("groupId", &group.id);
    xml.text("groupName", &group.name);
    xml.text("groupDescription", &group.name);
    xml.text("vpcId", &group.vpc);
    write_rules(xml, "ipPermissions", &group.ingress);
    write_rules(xml, "ipPermissionsEgress", &group.egress);
}
