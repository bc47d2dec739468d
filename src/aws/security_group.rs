//! Security groups, and whether they let a tunnel through: from the endpoint out, and into the instance.
//!
//! Rules only allow, and what a reply needs is allowed by itself. Traffic of a tunnel that reaches the endpoint is
//! allowed whatever the inbound rules of the endpoint's own groups say (EC2 user guide, "Security groups for EC2
//! Instance Connect Endpoint").

use std::net::IpAddr;

use super::cidr::Cidr;
use super::model::Endpoint;

/// A security group, as far as TCP goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityGroup {
    /// Its id.
    pub id: String,
    /// What it lets in.
    pub inbound: Vec<SecurityGroupRule>,
    /// What it lets out.
    pub outbound: Vec<SecurityGroupRule>,
}

/// A rule about TCP, or about every protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityGroupRule {
    /// The first port.
    pub from_port: u16,
    /// The last port.
    pub to_port: u16,
    /// The ids of the groups at the other end.
    pub groups: Vec<String>,
    /// The address blocks at the other end.
    pub blocks: Vec<Cidr>,
    /// The prefix lists at the other end, whose addresses are not known here.
    pub prefix_lists: Vec<String>,
}

/// Whether rules let a connection pass, with the rule that tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrafficVerdict {
    /// Yes, by this rule.
    Allowed(String),
    /// By this rule, if it is meant for the addresses in question, which are not known.
    Possible(String),
    /// No rule does.
    Blocked,
    /// No rule that could be read does; not all could.
    Unknown,
}

/// What the groups say of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TunnelTraffic {
    /// From the endpoint out.
    pub outbound: TrafficVerdict,
    /// Into the instance.
    pub inbound: TrafficVerdict,
}

/// What `groups` say of a tunnel by `endpoint` to `port` of `address`, which an instance in the groups `instance`
/// has.
///
/// An endpoint's own address is not told by its description. A block of addresses at the other end of an inbound
/// rule is therefore taken for what it is meant to be: the VPC's, or the clients' where the endpoint preserves them.
#[must_use]
pub fn tunnel_traffic(
    groups: &[SecurityGroup],
    endpoint: &Endpoint,
    instance: &[String],
    address: IpAddr,
    port: u16,
) -> TunnelTraffic {
    let outbound = judge(groups, &endpoint.security_groups, |group| {
        let rules = group.outbound.iter().filter(|rule| rule.has(port));
        best(rules.map(|rule| {
            let peer = rule.common_group(instance).or_else(|| {
                let block = rule.blocks.iter().find(|block| block.contains(address));
                block.map(ToString::to_string)
            });
            let told = |peer: &str| format!("{} lets {port} out to {peer}", group.id);
            match (peer, rule.prefix_lists.first()) {
                (Some(peer), _) => TrafficVerdict::Allowed(told(&peer)),
                (None, Some(list)) => TrafficVerdict::Possible(told(list)),
                (None, None) => TrafficVerdict::Blocked,
            }
        }))
    });
    let inbound = judge(groups, instance, |group| {
        let rules = group.inbound.iter().filter(|rule| rule.has(port));
        best(rules.map(|rule| {
            let told = |peer: &str| format!("{} lets {port} in from {peer}", group.id);
            if let Some(peer) = rule.common_group(&endpoint.security_groups) {
                return TrafficVerdict::Allowed(told(&peer));
            }
            let blocks = || rule.blocks.iter().filter(|block| block.is_ipv4() == address.is_ipv4());
            if let Some(everything) = blocks().find(|block| block.is_everything()) {
                return TrafficVerdict::Allowed(told(&everything.to_string()));
            }
            let block =
                blocks().next().map(ToString::to_string).or_else(|| rule.prefix_lists.first().cloned());
            block.map_or(TrafficVerdict::Blocked, |block| TrafficVerdict::Possible(told(&block)))
        }))
    });
    TunnelTraffic { outbound, inbound }
}

/// The best of what the groups `of` say, of those that could be read.
fn judge(
    groups: &[SecurityGroup],
    of: &[String],
    say: impl Fn(&SecurityGroup) -> TrafficVerdict,
) -> TrafficVerdict {
    let read: Vec<_> = groups.iter().filter(|group| of.contains(&group.id)).collect();
    let all_read = !of.is_empty() && of.iter().all(|id| read.iter().any(|group| group.id == *id));
    match best(read.into_iter().map(say)) {
        TrafficVerdict::Blocked if !all_read => TrafficVerdict::Unknown,
        verdict => verdict,
    }
}

fn best(verdicts: impl Iterator<Item = TrafficVerdict>) -> TrafficVerdict {
    let rank = |verdict: &TrafficVerdict| match verdict {
        TrafficVerdict::Allowed(_) => 0,
        TrafficVerdict::Possible(_) => 1,
        TrafficVerdict::Unknown => 2,
        TrafficVerdict::Blocked => 3,
    };
    verdicts.min_by_key(rank).unwrap_or(TrafficVerdict::Blocked)
}

impl SecurityGroupRule {
    fn has(&self, port: u16) -> bool {
        (self.from_port..=self.to_port).contains(&port)
    }

    /// A group at the other end that is one of `groups`.
    fn common_group(&self, groups: &[String]) -> Option<String> {
        self.groups.iter().find(|group| groups.contains(group)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::EndpointState;

    fn rule(ports: (u16, u16), groups: &[&str], blocks: &[&str]) -> SecurityGroupRule {
        SecurityGroupRule {
            from_port: ports.0,
            to_port: ports.1,
            groups: groups.iter().map(ToString::to_string).collect(),
            blocks: blocks.iter().map(|block| block.parse().unwrap()).collect(),
            prefix_lists: Vec::new(),
        }
    }

    /// What an endpoint in `sg-e` and an instance in `sg-i` have, with these rules.
    fn judged(outbound: Vec<SecurityGroupRule>, inbound: Vec<SecurityGroupRule>) -> TunnelTraffic {
        let groups = [
            SecurityGroup { id: "sg-e".into(), outbound, inbound: Vec::new() },
            SecurityGroup { id: "sg-i".into(), inbound, outbound: Vec::new() },
        ];
        ask(&groups)
    }

    fn ask(groups: &[SecurityGroup]) -> TunnelTraffic {
        let mut endpoint = Endpoint::new("eice-1".parse().unwrap(), EndpointState::CreateComplete);
        endpoint.security_groups = vec!["sg-e".into()];
        tunnel_traffic(groups, &endpoint, &["sg-i".into()], "10.0.1.23".parse().unwrap(), 22)
    }

    #[test]
    fn a_rule_that_names_the_other_group_or_everything_opens_the_way() {
        let by_group =
            judged(vec![rule((22, 22), &["sg-i"], &[])], vec![rule((0, 65535), &["sg-x", "sg-e"], &[])]);
        assert_eq!(by_group.outbound, TrafficVerdict::Allowed("sg-e lets 22 out to sg-i".into()));
        assert_eq!(by_group.inbound, TrafficVerdict::Allowed("sg-i lets 22 in from sg-e".into()));
        let by_block = judged(
            vec![rule((22, 22), &[], &["10.0.0.0/16"])],
            vec![rule((22, 22), &[], &["10.0.0.0/16"]), rule((22, 22), &[], &["0.0.0.0/0"])],
        );
        assert_eq!(by_block.outbound, TrafficVerdict::Allowed("sg-e lets 22 out to 10.0.0.0/16".into()));
        assert_eq!(by_block.inbound, TrafficVerdict::Allowed("sg-i lets 22 in from 0.0.0.0/0".into()));
    }

    #[test]
    fn a_block_in_an_inbound_rule_is_believed_and_no_more() {
        let vpc = judged(Vec::new(), vec![rule((22, 22), &[], &["10.0.0.0/16"])]);
        assert_eq!(vpc.inbound, TrafficVerdict::Possible("sg-i lets 22 in from 10.0.0.0/16".into()));
        let other_family = judged(Vec::new(), vec![rule((22, 22), &[], &["::/0"])]);
        assert_eq!(other_family.inbound, TrafficVerdict::Blocked);
        let mut list = rule((22, 22), &[], &[]);
        list.prefix_lists = vec!["pl-1".into()];
        assert_eq!(
            judged(vec![list], Vec::new()).outbound,
            TrafficVerdict::Possible("sg-e lets 22 out to pl-1".into())
        );
    }

    #[test]
    fn another_port_address_or_group_opens_nothing() {
        for closed in [
            vec![],
            vec![rule((23, 3389), &["sg-i"], &["0.0.0.0/0"])],
            vec![rule((22, 22), &["sg-e"], &["10.1.0.0/16", "::/0"])],
        ] {
            assert_eq!(judged(closed.clone(), Vec::new()).outbound, TrafficVerdict::Blocked, "{closed:?}");
        }
        assert_eq!(judged(Vec::new(), vec![rule((22, 22), &["sg-i"], &[])]).inbound, TrafficVerdict::Blocked);
    }

    #[test]
    fn a_group_that_could_not_be_read_leaves_it_open_whether_there_is_a_rule() {
        let unread = ask(&[]);
        assert_eq!((unread.outbound, unread.inbound), (TrafficVerdict::Unknown, TrafficVerdict::Unknown));
    }
}
