//! The target of a tunnel: the owner of its address, the security groups, and the dial.

use std::net::IpAddr;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::emulator::config::{EndpointSpec, InstanceSpec, InstanceState, SecurityGroupRuleSpec};
use crate::emulator::policy::is_within;
use crate::emulator::world::{Target, World};
use eice_proto::TunnelParams;

/// The result of a dial.
#[derive(Debug)]
pub(super) enum Dialled {
    Open(TcpStream),
    /// Accepted, but silent.
    Silent,
    /// Refused, or no response in time.
    Failed,
}

/// Dials for `client` within the dial timeout. If packets are dropped, the failure is reported only at the
/// timeout.
pub(super) async fn dial(world: &World, params: &TunnelParams, client: IpAddr) -> Dialled {
    let dialing = async {
        match find(world, params, client) {
            Some(Target::Address(address)) => match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    Dialled::Open(stream)
                }
                Err(_) => Dialled::Failed,
            },
            Some(Target::Silent) => Dialled::Silent,
            Some(Target::Closed) => Dialled::Failed,
            None => std::future::pending().await,
        }
    };
    timeout(world.dial_timeout, dialing).await.unwrap_or(Dialled::Failed)
}

/// Returns the target at the address; `None` when no instance has it or packets are dropped.
fn find(world: &World, params: &TunnelParams, client: IpAddr) -> Option<Target> {
    let endpoint = world.endpoint(&params.endpoint)?.spec;
    let state = world.state();
    let instance = state.instances.iter().find(|instance| {
        let spec = &instance.spec;
        let addresses = [spec.private_ip.map(IpAddr::V4), spec.ipv6.map(IpAddr::V6)];
        spec.vpc == endpoint.vpc
            && spec.state == InstanceState::Running
            && addresses.contains(&Some(params.address))
    })?;
    let rules = |ids: &[String],
                 which: fn(&crate::emulator::SecurityGroupSpec) -> &Vec<SecurityGroupRuleSpec>|
     -> Vec<SecurityGroupRuleSpec> {
        let groups = state.security_groups.iter().filter(|group| ids.contains(&group.id));
        groups.flat_map(which).cloned().collect()
    };
    let out = rules(&endpoint.security_groups, |group| &group.egress);
    let into = rules(&instance.spec.security_groups, |group| &group.ingress);
    let port = params.port.get();
    let is_open = out.iter().any(|rule| lets_out(rule, &instance.spec, params.address, port))
        && into.iter().any(|rule| lets_in(rule, &endpoint, client, port));
    if !is_open {
        return None;
    }
    // Only port 22 has a server; Windows is not emulated.
    Some(if port == 22 { instance.target } else { Target::Closed })
}

fn has_port(rule: &SecurityGroupRuleSpec, port: u16) -> bool {
    rule.ports.is_none_or(|(from, to)| (from..=to).contains(&port))
}

fn lets_out(rule: &SecurityGroupRuleSpec, instance: &InstanceSpec, address: IpAddr, port: u16) -> bool {
    has_port(rule, port)
        && (rule.groups.iter().any(|group| instance.security_groups.contains(group))
            || rule.cidrs.iter().any(|block| is_within(address, block)))
}

/// Returns whether an inbound rule allows the connection. The endpoint's group always counts; a block is
/// matched against the address that the instance sees (EC2 user guide, "Security groups for EC2 Instance
/// Connect Endpoint").
fn lets_in(rule: &SecurityGroupRuleSpec, endpoint: &EndpointSpec, client: IpAddr, port: u16) -> bool {
    let seen = if endpoint.preserve_client_ip { client } else { endpoint.private_ip.into() };
    has_port(rule, port)
        && (rule.groups.iter().any(|group| endpoint.security_groups.contains(group))
            || rule.cidrs.iter().any(|block| is_within(seen, block)))
}
