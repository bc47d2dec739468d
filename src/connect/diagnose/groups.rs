//! Checks the security groups, as far as they can be read.

use super::diagnosis::Diagnosis;
use super::lookups::Found;
use crate::aws::{AwsClient, Endpoint, Instance, TrafficVerdict, tunnel_traffic};
use crate::connect::explain;
use crate::model::{Check, CheckOutcome, CheckResult, Fault, Fix, InstanceTarget, Stage};

impl Diagnosis<'_> {
    /// Reads the groups of endpoint and instance. Unreadable groups are only a warning; it is a failure if no
    /// rule allows the tunnel, unless sshd answers nevertheless.
    pub(super) async fn security_groups(
        &mut self,
        client: &AwsClient,
        target: &InstanceTarget,
        instance: Option<&Instance>,
        found: &Found,
    ) {
        let Some(chosen) = &found.chosen else { return };
        let (Some(endpoint), Some(instance)) = (&found.endpoint, instance) else {
            return self.skip(
                Check::SecurityGroups,
                "not readable: the groups of instance and endpoint are unknown without looking both up",
            );
        };
        self.begin(Check::SecurityGroups);
        let mut ids = [endpoint.security_groups.clone(), instance.security_groups.clone()].concat();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return self
                .skip(Check::SecurityGroups, "not readable: AWS names no group of instance or endpoint");
        }
        let response = client.describe_security_groups(&ids).await;
        let took = self.took();
        let answer = match response {
            Ok(answer) => answer,
            Err(error) => {
                let error = explain::from_aws_call(Stage::Endpoint, error);
                let step = CheckResult::failed(Check::SecurityGroups, &error).after(took);
                let mut step = self.with_lookup_fix(step, error.fault());
                (step.outcome, step.fault) = (CheckOutcome::Warned, None);
                step.message = format!("not readable: {}", step.message);
                return self.put(step);
            }
        };
        let port = target.port.get();
        let passages_found =
            tunnel_traffic(&answer.value, endpoint, &instance.security_groups, chosen.address, port);
        let step = judged(
            &passages_found.outbound,
            &passages_found.inbound,
            endpoint,
            instance,
            chosen.address,
            port,
        );
        self.put(step.after(took).with_request_id(answer.request_id));
    }
}

fn judged(
    outbound: &TrafficVerdict,
    inbound: &TrafficVerdict,
    endpoint: &Endpoint,
    instance: &Instance,
    address: std::net::IpAddr,
    port: u16,
) -> CheckResult {
    let (from, to) = (&endpoint.security_groups, &instance.security_groups);
    let names = |ids: &[String]| if ids.is_empty() { "an unknown group".to_owned() } else { ids.join(", ") };
    let clients =
        if endpoint.preserve_client_ip { "the clients' addresses" } else { "the endpoint's address" };
    let mut messages = Vec::new();
    let mut fixes = Vec::new();
    let mut is_unread = false;
    match outbound {
        TrafficVerdict::Allowed(rule) => messages.push(rule.clone()),
        TrafficVerdict::Possible(rule) => messages.push(format!("{rule}, if that holds {address}")),
        TrafficVerdict::Unknown => {
            is_unread = true;
            messages.push(format!("the outbound rules of {} cannot be read", names(from)));
        }
        TrafficVerdict::Blocked => {
            messages.push(format!("no rule of {} lets {port} out to {}", names(from), names(to)));
            fixes.extend(rule(from.first(), "outbound", port, to.first()));
        }
    }
    match inbound {
        TrafficVerdict::Allowed(rule) => messages.push(rule.clone()),
        TrafficVerdict::Possible(rule) => messages.push(format!("{rule}, if that holds {clients}")),
        TrafficVerdict::Unknown => {
            is_unread = true;
            messages.push(format!("the inbound rules of {} cannot be read", names(to)));
        }
        TrafficVerdict::Blocked => {
            messages.push(format!("no rule of {} lets {port} in from {}", names(to), names(from)));
            fixes.extend(rule(to.first(), "inbound", port, from.first()));
        }
    }
    let is_closed = [outbound, inbound].into_iter().any(|way| *way == TrafficVerdict::Blocked);
    let outcome = match (is_closed, is_unread) {
        (true, _) => CheckOutcome::Failed,
        (false, true) => CheckOutcome::Warned,
        (false, false) => CheckOutcome::Passed,
    };
    let mut step = CheckResult::new(Check::SecurityGroups, outcome, messages.join("; "));
    step.fixes = fixes;
    if is_closed {
        step.fault = Some(Fault::Network);
        let other = if endpoint.preserve_client_ip && *inbound == TrafficVerdict::Blocked {
            "; the endpoint preserves client addresses, so a rule for those also works"
        } else {
            ""
        };
        step.hint = Some(format!("add the missing rule to the security group{other}"));
    }
    step
}

fn rule(group: Option<&String>, direction: &'static str, port: u16, peer: Option<&String>) -> Option<Fix> {
    let (group, peer) = (group?.clone(), peer?.clone());
    Some(Fix::SecurityGroupRule { group, direction, port, peer })
}
