//! Security groups, and whether their rules allow a tunnel: out of the endpoint, and into the instance.
//!
//! Rules only allow, and replies are allowed implicitly. Traffic of a tunnel to the endpoint is allowed whatever
//! the inbound rules of the endpoint's own groups are (EC2 user guide, "Security groups for EC2 Instance Connect
//! Endpoint").

use std::net::IpAddr;

use super::cidr::Cidr;
use super::model::Endpoint;

/// A security group, reduced to TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityGroup {
    /// Its id.
    pub id: String,
    /// Its inbound rules.
    pub inbound: Vec<SecurityGroupRule>,
    /// Its outbound rules.
    pub outbound: Vec<SecurityGroupRule>,
}

/// A rule for TCP, or for every protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityGroupRule {
    /// The first port.
    pub from_port: u16,
    /// The last port.
    pub to_port: u16,
    /// The ids of the peer groups.
    pub groups: Vec<String>,
    /// The peer CIDR blocks.
    pub blocks: Vec<Cidr>,
    /// The peer prefix lists, whose addresses are unknown here.
    pub prefix_lists: Vec<String>,
}

/// Whether rules allow a connection, with a description of the deciding rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrafficVerdict {
    /// Allowed by this rule.
    Allowed(String),
    /// Allowed by this rule if its addresses include the ones in question, which are unknown.
    Possible(String),
    /// No rule allows it.
    Blocked,
    /// No readable rule allows it, and some groups could not be read.
    Unknown,
}

/// The verdicts on a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TunnelTraffic {
    /// Out of the endpoint.
    pub outbound: TrafficVerdict,
    /// Into the instance.
    pub inbound: TrafficVerdict,
}

/// Evaluates the rules of `groups` for a tunnel through `endpoint` to `port` of `address`, of an instance in the
/// groups `instance`.
///
/// An endpoint's description does not contain its own address. A CIDR block in an inbound rule is therefore assumed
/// to be the intended one: the VPC's, or the clients' if the endpoint preserves their addresses.
#[must_use]
pub fn tunnel_traffic(
    groups: &[SecurityGroup],
    endpoint: &Endpoint,
    instance: &[String],
    address: IpAddr,
    port: u16,
) -> TunnelTraffic {
    let outbound = evaluate(groups, &endpoint.security_groups, |group| {
        let rules = group.outbound.iter().filter(|rule| rule.has(port));
        best(rules.map(|rule| {
            let peer = rule.common_group(instance).or_else(|| {
                let block = rule.blocks.iter().find(|block| block.contains(address));
                block.map(ToString::to_string)
            });
            let describe = |peer: &str| format!("{} lets {port} out to {peer}", group.id);
            match (peer, rule.prefix_lists.first()) {
                (Some(peer), _) => TrafficVerdict::Allowed(describe(&peer)),
                (None, Some(list)) => TrafficVerdict::Possible(describe(list)),
                (None, None) => TrafficVerdict::Blocked,
            }
        }))
    });
    let inbound = evaluate(groups, instance, |group| {
        let rules = group.inbound.iter().filter(|rule| rule.has(port));
        best(rules.map(|rule| {
            let describe = |peer: &str| format!("{} lets {port} in from {peer}", group.id);
            if let Some(peer) = rule.common_group(&endpoint.security_groups) {
                return TrafficVerdict::Allowed(describe(&peer));
            }
            let blocks = || rule.blocks.iter().filter(|block| block.is_ipv4() == address.is_ipv4());
            if let Some(everything) = blocks().find(|block| block.is_everything()) {
                return TrafficVerdict::Allowed(describe(&everything.to_string()));
            }
            let block =
                blocks().next().map(ToString::to_string).or_else(|| rule.prefix_lists.first().cloned());
            block.map_or(TrafficVerdict::Blocked, |block| TrafficVerdict::Possible(describe(&block)))
        }))
    });
    TunnelTraffic { outbound, inbound }
}

/// Returns the best verdict of the groups `ids`, as far as they could be read.
fn evaluate(
    groups: &[SecurityGroup],
    ids: &[String],
    verdict_of: impl Fn(&SecurityGroup) -> TrafficVerdict,
) -> TrafficVerdict {
    let readable: Vec<_> = groups.iter().filter(|group| ids.contains(&group.id)).collect();
    let all_read = !ids.is_empty() && ids.iter().all(|id| readable.iter().any(|group| group.id == *id));
    match best(readable.into_iter().map(verdict_of)) {
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

    /// Returns a peer group that is among `groups`.
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

    /// Evaluates an endpoint in `sg-e` and an instance in `sg-i`, with these rules.
    fn verdicts_of(outbound: Vec<SecurityGroupRule>, inbound: Vec<SecurityGroupRule>) -> TunnelTraffic {
        let groups = [
            SecurityGroup { id: "sg-e".into(), outbound, inbound: Vec::new() },
            SecurityGroup { id: "sg-i".into(), inbound, outbound: Vec::new() },
        ];
        evaluate_groups(&groups)
    }

    fn evaluate_groups(groups: &[SecurityGroup]) -> TunnelTraffic {
        let mut endpoint = Endpoint::new("eice-1".parse().unwrap(), EndpointState::CreateComplete);
        endpoint.security_groups = vec!["sg-e".into()];
        tunnel_traffic(groups, &endpoint, &["sg-i".into()], "10.0.1.23".parse().unwrap(), 22)
    }

    #[test]
    fn peer_group_is_allowed() {
        let by_group =
            verdicts_of(vec![rule((22, 22), &["sg-i"], &[])], vec![rule((0, 65535), &["sg-x", "sg-e"], &[])]);
        assert_eq!(by_group.outbound, TrafficVerdict::Allowed("sg-e lets 22 out to sg-i".into()));
        assert_eq!(by_group.inbound, TrafficVerdict::Allowed("sg-i lets 22 in from sg-e".into()));
        let by_block = verdicts_of(
            vec![rule((22, 22), &[], &["10.0.0.0/16"])],
            vec![rule((22, 22), &[], &["10.0.0.0/16"]), rule((22, 22), &[], &["0.0.0.0/0"])],
        );
        assert_eq!(by_block.outbound, TrafficVerdict::Allowed("sg-e lets 22 out to 10.0.0.0/16".into()));
        assert_eq!(by_block.inbound, TrafficVerdict::Allowed("sg-i lets 22 in from 0.0.0.0/0".into()));
    }

    #[test]
    fn inbound_block_is_only_possible() {
        let vpc = verdicts_of(Vec::new(), vec![rule((22, 22), &[], &["10.0.0.0/16"])]);
        assert_eq!(vpc.inbound, TrafficVerdict::Possible("sg-i lets 22 in from 10.0.0.0/16".into()));
        let other_family = verdicts_of(Vec::new(), vec![rule((22, 22), &[], &["::/0"])]);
        assert_eq!(other_family.inbound, TrafficVerdict::Blocked);
        let mut list = rule((22, 22), &[], &[]);
        list.prefix_lists = vec!["pl-1".into()];
        assert_eq!(
            verdicts_of(vec![list], Vec::new()).outbound,
            TrafficVerdict::Possible("sg-e lets 22 out to pl-1".into())
        );
    }

    #[test]
    fn other_port_address_or_group_is_blocked() {
        for closed in [
            vec![],
            vec![rule((23, 3389), &["sg-i"], &["0.0.0.0/0"])],
            vec![rule((22, 22), &["sg-e"], &["10.1.0.0/16", "::/0"])],
        ] {
            assert_eq!(
                verdicts_of(closed.clone(), Vec::new()).outbound,
                TrafficVerdict::Blocked,
                "{closed:?}"
            );
        }
        assert_eq!(
            verdicts_of(Vec::new(), vec![rule((22, 22), &["sg-i"], &[])]).inbound,
            TrafficVerdict::Blocked
        );
    }

    #[test]
    fn unreadable_group_is_unknown() {
        let unread = evaluate_groups(&[]);
        assert_eq!((unread.outbound, unread.inbound), (TrafficVerdict::Unknown, TrafficVerdict::Unknown));
    }
}
