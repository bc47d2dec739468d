//! Missing permissions, and the printed statement that grants them.

use serde_json::json;

use super::{ENDPOINT, Patient, outcomes, step, without};
use crate::lab::INSTANCE;

#[tokio::test(flavor = "multi_thread")]
async fn printed_statement_grants_permission() {
    for (action, check, later) in [
        ("ec2:DescribeInstances", "instance", "key-push"),
        ("ec2:DescribeInstanceConnectEndpoints", "endpoint", "key-push"),
        ("ec2-instance-connect:SendSSHPublicKey", "key-push", "key-exchange"),
        ("ec2-instance-connect:OpenTunnel", "upgrade", "tls"),
    ] {
        let patient = Patient::builtin().await;
        let mut policy = without(action);
        patient.set_policy(&policy);
        let report = patient.fails(check, 77, &[action]).await;
        assert_eq!(step(&report, later)["outcome"], "passed", "{action}: the walk goes on: {report:#}");
        let fix = &step(&report, check)["fixes"][0];
        assert_eq!(fix["kind"], "iam-statement", "{action}: {fix:#}");
        assert_eq!(fix["statement"]["Action"], action);
        policy["Statement"].as_array_mut().unwrap().push(fix["statement"].clone());
        patient.set_policy(&policy);
        patient.passes().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn required_tag_is_reported() {
    let patient = Patient::builtin().await;
    let (emulator, instance) = (&patient.world.emulator, patient.world.instance());
    emulator.edit_instance(&instance, |spec| drop(spec.tags.remove("Role")));
    let report = patient.fails("key-push", 77, &["SendSSHPublicKey"]).await;
    let fix = json!({"kind": "tag", "resource": INSTANCE, "key": "Role", "value": "workspace"});
    assert_eq!(step(&report, "key-push")["fixes"][1], fix);
    emulator.edit_instance(&instance, |spec| drop(spec.tags.insert("Role".into(), "workspace".into())));
    patient.passes().await;
    emulator.edit_endpoint(&ENDPOINT.parse().unwrap(), |spec| spec.tags.clear());
    let report = patient.fails("upgrade", 77, &["OpenTunnel"]).await;
    assert_eq!(step(&report, "upgrade")["fixes"][1]["resource"], ENDPOINT);
}

#[tokio::test(flavor = "multi_thread")]
async fn unneeded_lookup_may_be_denied() {
    let patient = Patient::builtin().await;
    let name = patient.world.emulator.access().tunnel_authority();
    let patient = patient.with(&[
        "--endpoint-id",
        ENDPOINT,
        "--endpoint-dns-name",
        &name,
        "--private-ip-address",
        "10.0.1.23",
    ]);
    patient.set_policy(&json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ec2-instance-connect:*", "Resource": "*"},
    ]}));
    let report = patient.passes().await;
    assert_eq!(outcomes(&report, "warned"), ["instance", "endpoint"]);
    assert!(step(&report, "instance")["message"].as_str().unwrap().contains("not needed"));
    assert_eq!(step(&report, "security-groups")["outcome"], "skipped");
}
