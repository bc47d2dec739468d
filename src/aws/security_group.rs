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
    pub inbound: Vec<Rule>,
    /// What it lets out.
    pub outbound: Vec<Rule>,
}

/// A rule about TCP, or about every protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
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
pub enum Passage {
    /// Yes, by this rule.
    Open(String),
    /// By this rule, if it is meant for the addresses in question, which are not known.
    Perhaps(String),
    /// No rule does.
    Closed,
    /// No rule that could be read does; not all could.
    Unread,
}

/// What the groups say of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passages {
    /// From the endpoint out.
    pub outbound: Passage,
    /// Into the instance.
    pub inbound: Passage,
}

/// What `groups` say of a tunnel by `endpoint` to `port` of `address`, which an instance in the groups `instance`
/// has.
///
/// An endpoint's own address is not told by its description. A block of addresses at the other end of an inbound
/// rule is therefore taken for what it is meant to be: the VPC's, or the clients' where the endpoint preserves them.
#[must_use]
pub fn passages(
    groups: &[SecurityGroup],
    endpoint: &Endpoint,
    instance: &[String],
    address: IpAddr,
    port: u16,
) -> Passages {
    let outbound = judge(groups, &endpoint.security_groups, |group| {
        let rules = group.outbound.iter().filter(|rule| rule.has(port));
        best(rules.map(|rule| {
            let peer = rule.common_group(instance).or_else(|| {
                let block = rule.blocks.iter().find(|block| block.contains(address));
                block.map(ToString::to_string)
            });
            let told = |peer: &str| format!("{} lets {port} out to {peer}", group.id);
            match (peer, rule.prefix_lists.first()) {
                (Some(peer), _) => Passage::Open(told(&peer)),
                (None, Some(list)) => Passage::Perhaps(told(list)),
                (None, None) => Passage::Closed,
            }
        }))
    });
    let inbound = judge(groups, instance, |group| {
        let rules = group.inbound.iter().filter(|rule| rule.has(port));
        best(rules.map(|rule| {
            let told = |peer: &str| format!("{} lets {port} in from {peer}", group.id);
            if let Some(peer) = rule.common_group(&endpoint.security_groups) {
                return Passage::Open(told(&peer));
            }
            let blocks = || rule.blocks.iter().filter(|block| block.is_ipv4() == address.is_ipv4());
            if let Some(everything) = blocks().find(|block| block.is_everything()) {
                return Passage::Open(told(&everything.to_string()));
            }
            let block =
                blocks().next().map(ToString::to_string).or_else(|| rule.prefix_lists.first().cloned());
            block.map_or(Passage::Closed, |block| Passage::Perhaps(told(&block)))
        }))
    });
    Passages { outbound, inbound }
}

/// The best of what the groups `of` say, of those that could be read.
fn judge(groups: &[SecurityGroup], of: &[String], say: impl Fn(&SecurityGroup) -> Passage) -> Passage {
    let read: Vec<_> = groups.iter().filter(|group| of.contains(&group.id)).collect();
    let all_read = !of.is_empty() && of.iter().all(|id| read.iter().any(|group| group.id == *id));
    match best(read.into_iter().map(say)) {
        Passage::Closed if !all_read => Passage::Unread,
        passage => passage,
    }
}

fn best(passages: impl Iterator<Item = Passage>) -> Passage {
    let rank = |passage: &Passage| match passage {
        Passage::Open(_) => 0,
        Passage::Perhaps(_) => 1,
        Passage::Unread => 2,
        Passage::Closed => 3,
    };
    passages.min_by_key(rank).unwrap_or(Passage::Closed)
}

impl Rule {
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

    fn rule(ports: (u16, u16), groups: &[&str], blocks: &[&str]) -> Rule {
        Rule {
            from_port: ports.0,
            to_port: ports.1,
            groups: groups.iter().map(ToString::to_string).collect(),
            blocks: blocks.iter().map(|block| block.parse().unwrap()).collect(),
            prefix_lists: Vec::new(),
        }
    }

    /// What an endpoint in `sg-e` and an instance in `sg-i` have, with these rules.
    fn judged(outbound: Vec<Rule>, inbound: Vec<Rule>) -> Passages {
        let groups = [
            SecurityGroup { id: "sg-e".into(), outbound, inbound: Vec::new() },
            SecurityGroup { id: "sg-i".into(), inbound, outbound: Vec::new() },
        ];
        ask(&groups)
    }

    fn ask(groups: &[SecurityGroup]) -> Passages {
        let mut endpoint = Endpoint::new("eice-1".parse().unwrap(), EndpointState::CreateComplete);
        endpoint.security_groups = vec!["sg-e".into()];
        passages(groups, &endpoint, &["sg-i".into()], "10.0.1.23".parse().unwrap(), 22)
    }

    #[test]
    fn a_rule_that_names_the_other_group_or_everything_opens_the_way() {
        let by_group =
            judged(vec![rule((22, 22), &["sg-i"], &[])], vec![rule((0, 65535), &["sg-x", "sg-e"], &[])]);
        assert_eq!(by_group.outbound, Passage::Open("sg-e lets 22 out to sg-i".into()));
        assert_eq!(by_group.inbound, Passage::Open("sg-i lets 22 in from sg-e".into()));
        let by_block = judged(
            vec![rule((22, 22), &[], &["10.0.0.0/16"])],
            vec![rule((22, 22), &[], &["10.0.0.0/16"]), rule((22, 22), &[], &["0.0.0.0/0"])],
        );
        assert_eq!(by_block.outbound, Passage::Open("sg-e lets 22 out to 10.0.0.0/16".into()));
        assert_eq!(by_block.inbound, Passage::Open("sg-i lets 22 in from 0.0.0.0/0".into()));
    }

    #[test]
    fn a_block_in_an_inbound_rule_is_believed_and_no_more() {
        let vpc = judged(Vec::new(), vec![rule((22, 22), &[], &["10.0.0.0/16"])]);
        assert_eq!(vpc.inbound, Passage::Perhaps("sg-i lets 22 in from 10.0.0.0/16".into()));
        let other_family = judged(Vec::new(), vec![rule((22, 22), &[], &["::/0"])]);
        assert_eq!(other_family.inbound, Passage::Closed);
        let mut list = rule((22, 22), &[], &[]);
        list.prefix_lists = vec!["pl-1".into()];
        assert_eq!(
            judged(vec![list], Vec::new()).outbound,
            Passage::Perhaps("sg-e lets 22 out to pl-1".into())
        );
    }

    #[test]
    fn another_port_address_or_group_opens_nothing() {
        for closed in [
            vec![],
            vec![rule((23, 3389), &["sg-i"], &["0.0.0.0/0"])],
            vec![rule((22, 22), &["sg-e"], &["10.1.0.0/16", "::/0"])],
        ] {
            assert_eq!(judged(closed.clone(), Vec::new()).outbound, Passage::Closed, "{closed:?}");
        }
        assert_eq!(judged(Vec::new(), vec![rule((22, 22), &["sg-i"], &[])]).inbound, Passage::Closed);
    }

    #[test]
    fn a_group_that_could_not_be_read_leaves_it_open_whether_there_is_a_rule() {
        let unread = ask(&[]);
        assert_eq!((unread.outbound, unread.inbound), (Passage::Unread, Passage::Unread));
    }
}
