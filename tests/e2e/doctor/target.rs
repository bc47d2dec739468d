//! Credentials, instance and endpoint: existence, state, and whether they fit together.

use eice::emulator::{AddressType, EndpointState, InstanceState};

use super::{ENDPOINT, Patient, outcomes, step};

#[tokio::test(flavor = "multi_thread")]
async fn missing_or_wrong_credentials() {
    let mut patient = Patient::builtin().await;
    patient.shell.export("AWS_SECRET_ACCESS_KEY", "wrong");
    let report = patient.fails("credentials", 78, &["access key"]).await;
    assert_eq!(outcomes(&report, "not-reached").len(), 18);
    patient.shell.unset("AWS_SECRET_ACCESS_KEY");
    patient.shell.unset("AWS_ACCESS_KEY_ID");
    patient.fails("credentials", 78, &["AWS_ACCESS_KEY_ID"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_region_or_instance() {
    let patient = Patient::builtin().await.with(&["--region", "us-east-1"]);
    patient.fails("credentials", 78, &["the region is us-east-1"]).await;

    let mut patient = Patient::builtin().await;
    patient.args[1] = "i-0fffffffffffffff0".into();
    let report = patient.fails("instance", 66, &["i-0fffffffffffffff0", "eu-west-1", "123456789012"]).await;
    // No instance to push a key to; endpoints can be looked up.
    assert_eq!(step(&report, "endpoint")["outcome"], "passed");
    assert_eq!(step(&report, "key-push")["outcome"], "not-reached");
    patient.args[1] = "no-such-name".into();
    let report = patient.fails("instance", 66, &["Name=no-such-name"]).await;
    assert_eq!(step(&report, "credentials")["outcome"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_not_running() {
    let patient = Patient::builtin().await;
    patient.world.emulator.set_instance_state(&patient.world.instance(), InstanceState::Stopped);
    let report = patient.fails("instance-state", 69, &["stopped", "start the instance"]).await;
    for looked_at in ["instance", "endpoint", "endpoint-state", "address-family", "security-groups"] {
        assert_eq!(step(&report, looked_at)["outcome"], "passed", "{report:#}");
    }
    assert_eq!(step(&report, "key-push")["outcome"], "not-reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_endpoint() {
    let patient = Patient::builtin().await;
    let emulator = &patient.world.emulator;
    let id = ENDPOINT.parse().unwrap();
    for (state, words) in [
        (EndpointState::DeleteInProgress, ["delete-in-progress", "create a new endpoint"]),
        (EndpointState::CreateInProgress, ["being created", "try again"]),
        (EndpointState::CreateFailed, ["create-failed", "create a new endpoint"]),
    ] {
        assert!(emulator.set_endpoint_state(&id, state));
        let report = patient.fails("endpoint-state", 69, &words).await;
        assert_eq!(step(&report, "endpoint")["outcome"], "passed");
        assert_eq!(step(&report, "key-push")["outcome"], "passed", "it needs no endpoint");
        assert_eq!(step(&report, "tcp")["outcome"], "not-reached");
    }
    assert!(emulator.remove_endpoint(&id));
    patient
        .fails("endpoint", 66, &["vpc-0e1f2a3b4c5d60001", "create an EC2 Instance Connect Endpoint"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn address_family_mismatch() {
    let patient = Patient::builtin().await;
    let (emulator, instance) = (&patient.world.emulator, patient.world.instance());
    assert!(emulator.edit_instance(&instance, |spec| {
        spec.private_ip = None;
        spec.ipv6 = Some("2600:1f10::17".parse().unwrap());
    }));
    let report = patient.fails("address-family", 64, &["2600:1f10::17", "ipv4", "dualstack"]).await;
    assert_eq!(step(&report, "endpoint-state")["outcome"], "passed");
    emulator.edit_endpoint(&ENDPOINT.parse().unwrap(), |spec| spec.address_type = AddressType::Dualstack);
    patient.passes().await;
    let patient = patient.with(&["--address-family", "ipv4"]);
    patient.fails("address-family", 64, &["no private IPv4 address"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadline_exceeded() {
    let patient = Patient::builtin().await.with(&["--timeout", "2"]);
    patient.world.emulator.faults().update(|faults| {
        faults.api_hang = true;
        faults.api_action = Some("DescribeInstances".into());
    });
    let report = patient.fails("instance", 75, &["did not finish within 2 s"]).await;
    assert_eq!(step(&report, "credentials")["outcome"], "passed");
    assert!(report["ms"].as_f64().unwrap() < 10_000.0, "{report:#}");
}
