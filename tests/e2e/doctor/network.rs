//! Security groups, the tunnel, and the server behind it.

use std::net::SocketAddr;

use eice::emulator::{Backend, EmulatorConfig, InstanceSpec, SecurityGroupRuleSpec, UpgradeFault};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{ENDPOINT, Patient, quick, step, without};
use crate::lab::World;

#[tokio::test(flavor = "multi_thread")]
async fn missing_security_group_rule() {
    let (instance_group, endpoint_group) = ("sg-0aaaaaaaaaaaa0001", "sg-0bbbbbbbbbbbb0001");
    for (direction, group, peer) in
        [("outbound", endpoint_group, instance_group), ("inbound", instance_group, endpoint_group)]
    {
        let patient = Patient::builtin().await;
        let mut taken = Vec::new();
        patient.world.emulator.edit_security_groups(|groups| {
            let spec = groups.iter_mut().find(|spec| spec.id == group).unwrap();
            let rules = if direction == "inbound" { &mut spec.ingress } else { &mut spec.egress };
            taken = std::mem::take(rules);
        });
        let report = patient.fails("security-groups", 69, &["add the missing rule"]).await;
        let fix = json!({
            "kind": "security-group-rule", "group": group, "direction": direction, "port": 22, "peer": peer,
        });
        assert_eq!(step(&report, "security-groups")["fixes"], json!([fix]));
        let banner = step(&report, "banner");
        assert_eq!(banner["outcome"], "failed", "the proof: {report:#}");
        assert!(banner["hint"].as_str().unwrap().contains("see security-groups"), "{banner:#}");

        // Unreadable groups are no failure; then the tunnel's failure is the first, with everything that is known.
        patient.set_policy(&without("ec2:DescribeSecurityGroups"));
        let report = patient.fails("banner", 69, &["ec2:DescribeSecurityGroups"]).await;
        let groups = step(&report, "security-groups");
        assert_eq!(groups["outcome"], "warned");
        assert!(groups["message"].as_str().unwrap().starts_with("not readable: "), "{groups:#}");
        assert_eq!(groups["fixes"][0]["statement"]["Action"], "ec2:DescribeSecurityGroups");

        patient.world.emulator.edit_security_groups(|groups| {
            let spec = groups.iter_mut().find(|spec| spec.id == group).unwrap();
            let rules = if direction == "inbound" { &mut spec.ingress } else { &mut spec.egress };
            *rules = taken;
        });
        patient.passes().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cidr_rule_in_instance_group() {
    let patient = Patient::builtin().await;
    let emulator = &patient.world.emulator;
    let lets_in = |block: &str| {
        let rule = SecurityGroupRuleSpec {
            ports: Some((22, 22)),
            groups: Vec::new(),
            cidrs: vec![block.to_owned()],
        };
        emulator.edit_security_groups(|groups| {
            groups.iter_mut().find(|spec| spec.id == "sg-0aaaaaaaaaaaa0001").unwrap().ingress = vec![rule];
        });
    };
    let message = |report: &Value| step(report, "security-groups")["message"].as_str().unwrap().to_owned();
    lets_in("10.0.0.0/16");
    assert!(message(&patient.passes().await).contains("10.0.0.0/16, if that holds the endpoint's address"));
    // The instance now sees the client's address, which is loopback.
    emulator.edit_endpoint(&ENDPOINT.parse().unwrap(), |spec| spec.preserve_client_ip = true);
    let report = patient.fails("banner", 69, &["network ACLs"]).await;
    assert!(message(&report).contains("10.0.0.0/16, if that holds the clients' addresses"), "{report:#}");
    lets_in("127.0.0.0/8");
    patient.passes().await;
    lets_in("0.0.0.0/0");
    assert!(message(&patient.passes().await).ends_with("lets 22 in from 0.0.0.0/0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnel_refused() {
    let patient = Patient::builtin().await;
    let faults = patient.world.emulator.faults();
    faults.update(|faults| faults.quota = Some(0));
    patient.fails("upgrade", 69, &["20 connections"]).await;
    faults.clear();
    let refusal = eice::emulator::UpgradeRejection { status: 500, body: "oops".into(), ..Default::default() };
    faults.update(|faults| faults.upgrade = Some(UpgradeFault::Refuse(refusal)));
    patient.fails("upgrade", 69, &["500"]).await;
    faults.clear();
    faults.update(|faults| faults.certificate = eice::emulator::Certificate::Expired);
    let report = patient.fails("tls", 76, &["clock"]).await;
    assert_eq!(step(&report, "tcp")["outcome"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_does_not_answer() {
    let instances = vec![InstanceSpec { backend: Backend::Closed, ..InstanceSpec::default() }];
    let patient = Patient::new(World::with(EmulatorConfig { instances, ..quick() }).await);
    let report = patient.fails("banner", 69, &["sshd", "The security groups let it through"]).await;
    assert_eq!(step(&report, "upgrade")["outcome"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn port_22_is_not_ssh() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let instances = vec![InstanceSpec { backend: Backend::Forward(address), ..InstanceSpec::default() }];
    let patient = Patient::new(World::with(EmulatorConfig { instances, ..quick() }).await);
    patient.fails("banner", 76, &["it is not sshd"]).await;
}
