//! Parses `DescribeSecurityGroups` responses.

use serde::Deserialize;

use super::{MAX_ITEMS, Page, Set, parse, some};
use crate::aws::security_group::{SecurityGroup, SecurityGroupRule};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    request_id: Option<String>,
    #[serde(default)]
    security_group_info: Set<GroupXml>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupXml {
    group_id: String,
    #[serde(default)]
    ip_permissions: Set<RuleXml>,
    #[serde(default)]
    ip_permissions_egress: Set<RuleXml>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleXml {
    ip_protocol: String,
    from_port: Option<i32>,
    to_port: Option<i32>,
    #[serde(default)]
    groups: Set<PeerXml>,
    #[serde(default)]
    ip_ranges: Set<PeerXml>,
    #[serde(default)]
    ipv6_ranges: Set<PeerXml>,
    #[serde(default)]
    prefix_list_ids: Set<PeerXml>,
}

/// A peer, in any of the four sets.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeerXml {
    group_id: Option<String>,
    cidr_ip: Option<String>,
    cidr_ipv6: Option<String>,
    prefix_list_id: Option<String>,
}

/// Parses a page of `DescribeSecurityGroups`.
pub(in crate::aws) fn security_groups(body: &[u8]) -> Result<Page<SecurityGroup>, String> {
    let response: Response = parse(body, "DescribeSecurityGroupsResponse")?;
    let set = response.security_group_info.items;
    if set.len() > MAX_ITEMS {
        return Err(format!("it contains more than {MAX_ITEMS} groups"));
    }
    let items = set
        .into_iter()
        .map(|group| SecurityGroup {
            id: group.group_id,
            inbound: group.ip_permissions.items.into_iter().filter_map(rule).collect(),
            outbound: group.ip_permissions_egress.items.into_iter().filter_map(rule).collect(),
        })
        .collect();
    Ok(Page { items, next_token: some(response.next_token), request_id: some(response.request_id) })
}

/// Converts a rule for TCP. A block that cannot be parsed is omitted, so it allows nothing.
fn rule(xml: RuleXml) -> Option<SecurityGroupRule> {
    // TCP by name or number, or every protocol (EC2 API reference, "IpPermission").
    let is_everything = xml.ip_protocol == "-1";
    if !is_everything && !matches!(xml.ip_protocol.as_str(), "tcp" | "6") {
        return None;
    }
    let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok()).filter(|_| !is_everything);
    let texts = |set: Set<PeerXml>, pick: fn(PeerXml) -> Option<String>| -> Vec<String> {
        set.items.into_iter().filter_map(pick).collect()
    };
    let v4 = texts(xml.ip_ranges, |peer| peer.cidr_ip);
    let v6 = texts(xml.ipv6_ranges, |peer| peer.cidr_ipv6);
    Some(SecurityGroupRule {
        from_port: port(xml.from_port).unwrap_or(0),
        to_port: port(xml.to_port).unwrap_or(u16::MAX),
        groups: texts(xml.groups, |peer| peer.group_id),
        blocks: v4.iter().chain(&v6).filter_map(|block| block.parse().ok()).collect(),
        prefix_lists: texts(xml.prefix_list_ids, |peer| peer.prefix_list_id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_groups_are_parsed() {
        let page =
            security_groups(include_bytes!("../../../fixtures/ec2/describe-security-groups.xml")).unwrap();
        let [instance, endpoint] = page.items.as_slice() else { panic!("{page:?}") };
        assert_eq!(instance.id, "sg-0aaaaaaaaaaaa0001");
        assert_eq!(instance.inbound[0].groups, ["sg-0bbbbbbbbbbbb0001"]);
        assert_eq!((instance.inbound[0].from_port, instance.inbound[0].to_port), (22, 22));
        assert_eq!(instance.outbound[0].blocks, ["0.0.0.0/0".parse().unwrap()]);
        assert_eq!((instance.outbound[0].from_port, instance.outbound[0].to_port), (0, 65535));
        assert_eq!(endpoint.outbound[0].groups, ["sg-0aaaaaaaaaaaa0001"]);
        assert!(endpoint.inbound.is_empty());
    }

    #[test]
    fn other_protocols_are_omitted() {
        let xml = r"<DescribeSecurityGroupsResponse><securityGroupInfo><item><groupId>sg-1</groupId><ipPermissions>
            <item><ipProtocol>udp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort>
              <ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges></item>
            <item><ipProtocol>icmp</ipProtocol><fromPort>-1</fromPort><toPort>-1</toPort></item>
            <item><ipProtocol>tcp</ipProtocol><fromPort>20</fromPort><toPort>30</toPort>
              <ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6><description>all</description></item></ipv6Ranges>
              <prefixListIds><item><prefixListId>pl-1</prefixListId></item></prefixListIds></item>
            </ipPermissions></item></securityGroupInfo></DescribeSecurityGroupsResponse>";
        let group = security_groups(xml.as_bytes()).unwrap().items.remove(0);
        assert_eq!(group.inbound.len(), 1);
        assert_eq!((group.inbound[0].from_port, group.inbound[0].to_port), (20, 30));
        assert_eq!(group.inbound[0].blocks, ["::/0".parse().unwrap()]);
        assert_eq!(group.inbound[0].prefix_lists, ["pl-1"]);
    }
}
