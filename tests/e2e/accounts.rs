//! Account, region and service addresses, set by the variables that every AWS tool reads.

use eice::emulator::{AddressType, EmulatorConfig, EndpointSpec, IamPolicy, IamRole, IamUser, InstanceSpec};
use serde_json::Value;

use crate::lab::{ClientShell, INSTANCE, World};

/// An address without a listener (TCP port 9, `discard`).
const NOWHERE: &str = "http://127.0.0.1:9";

/// Returns CloudTrail's events of `name`.
fn events(world: &World, name: &str) -> Vec<Value> {
    let records = world.emulator.records().into_iter().map(|record| serde_json::to_value(record).unwrap());
    records.filter(|record| record["eventName"] == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn assumed_role_makes_all_calls() {
    // The user may only assume the role; the role has all other permissions.
    let only_assume = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}"#;
    let config = EmulatorConfig {
        principals: vec![IamUser { policies: vec![only_assume.parse().unwrap()], ..IamUser::default() }],
        roles: vec![IamRole {
            name: "terminal".into(),
            external_id: Some("tenant-7".into()),
            policies: vec![IamPolicy::terminal()],
            ..IamRole::default()
        }],
        ..EmulatorConfig::default()
    };
    let world = World::with(config).await;
    let shell = ClientShell::new(&world);
    let arn = "arn:aws:iam::123456789012:role/terminal";
    let said = shell.run(&["ssh", INSTANCE, "--", "true"], b"").await;
    assert_eq!(said.code, Some(77), "the user alone may not: {}", said.stderr);
    let as_role = async |external_id: &str| {
        shell
            .run(&["ssh", "--role-arn", arn, "--external-id", external_id, INSTANCE, "--", "echo in"], b"")
            .await
    };
    assert_eq!(as_role("tenant-7").await.expect_success(), "in\n");
    for name in ["SendSSHPublicKey", "OpenTunnel"] {
        let events = events(&world, name);
        let done: Vec<_> = events.iter().filter(|event| event["errorCode"].is_null()).collect();
        assert_eq!(done.len(), 1, "{events:#?}");
        assert_eq!(done[0]["userIdentity"]["type"], "AssumedRole");
        let by = done[0]["userIdentity"]["arn"].as_str().unwrap();
        assert!(by.starts_with("arn:aws:sts::123456789012:assumed-role/terminal/"), "{by}");
    }
    let said = as_role("other").await;
    assert_eq!(said.code, Some(77), "{}", said.stderr);
    assert!(
        said.stderr.contains("eice: credentials: ") && said.stderr.contains("terminal"),
        "{}",
        said.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn target_region_overrides_environment() {
    let world =
        World::with(EmulatorConfig { region: "ap-southeast-4".into(), ..EmulatorConfig::default() }).await;
    let mut shell = ClientShell::new(&world);
    shell.export("AWS_REGION", "us-east-1");
    shell.export("AWS_DEFAULT_REGION", "us-east-1");
    // The emulator accepts signatures for its own region only.
    let said = shell.run(&["ssh", INSTANCE, "--", "true"], b"").await;
    assert_eq!(said.code, Some(78), "{}", said.stderr);
    shell.run(&["ssh", "--region", "ap-southeast-4", INSTANCE, "--", "true"], b"").await.expect_success();
    assert_eq!(events(&world, "OpenTunnel")[0]["awsRegion"], "ap-southeast-4");
}

#[tokio::test(flavor = "multi_thread")]
async fn service_url_overrides_common_url() {
    let world = World::builtin().await;
    let api = world.emulator.access().api_url();
    let ssh = ["ssh", INSTANCE, "--", "true"];
    let mut shell = ClientShell::new(&world);
    shell.export("AWS_ENDPOINT_URL", NOWHERE);
    assert_eq!(shell.run(&ssh, b"").await.code, Some(69));
    shell.export("AWS_ENDPOINT_URL_EC2", &api);
    let said = shell.run(&ssh, b"").await;
    assert!(said.stderr.starts_with("eice: key-push: "), "only EC2 answers: {}", said.stderr);
    shell.export("AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT", &api);
    shell.run(&ssh, b"").await.expect_success();
    // STS is called for a role only, and has its own variable.
    let with_role = ["ssh", "--role-arn", "arn:aws:iam::123456789012:role/nobody", INSTANCE, "--", "true"];
    let said = shell.run(&with_role, b"").await;
    assert_eq!(said.code, Some(69), "{}", said.stderr);
    shell.export("AWS_ENDPOINT_URL_STS", &api);
    let said = shell.run(&with_role, b"").await;
    assert_eq!(said.code, Some(77), "now it is refused: {}", said.stderr);
    shell.export("AWS_ENDPOINT_URL_EC2", NOWHERE);
    assert_eq!(shell.run(&ssh, b"").await.code, Some(69), "its own counts, even when it is wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn full_target_needs_no_lookup() {
    let world = World::builtin().await;
    let name = world.emulator.access().tunnel_authority();
    let shell = ClientShell::new(&world);
    let args = [
        "ssh",
        "--endpoint-id",
        "eice-0123456789abcdef0",
        "--endpoint-dns-name",
        &name,
        "--private-ip-address",
        "10.0.1.23",
        "--max-tunnel-duration",
        "600",
        INSTANCE,
        "--",
        "true",
    ];
    shell.run(&args, b"").await.expect_success();
    assert!(events(&world, "DescribeInstances").is_empty());
    assert!(events(&world, "DescribeInstanceConnectEndpoints").is_empty());
    let asked = &events(&world, "OpenTunnel")[0]["requestParameters"];
    assert_eq!((&asked["maxTunnelDuration"], &asked["remotePort"]), (&"600".into(), &"22".into()));
}

/// Unlike aws-cli, skips an endpoint that cannot carry the address and uses the dual-stack name.
#[tokio::test(flavor = "multi_thread")]
async fn ipv6_instance_uses_capable_endpoint() {
    let instance = InstanceSpec {
        private_ip: None,
        ipv6: Some("2600:1f10::17".parse().unwrap()),
        ..InstanceSpec::default()
    };
    let mut config = EmulatorConfig { instances: vec![instance], ..EmulatorConfig::default() };
    // The first is in the instance's subnet, and IPv4 only.
    config.endpoints.push(EndpointSpec {
        id: "eice-00000000000000006".parse().unwrap(),
        subnet: "subnet-0ffffffffffffffff".into(),
        address_type: AddressType::Dualstack,
        ..EndpointSpec::default()
    });
    let world = World::with(config).await;
    let shell = ClientShell::new(&world);
    shell.run(&["ssh", INSTANCE, "--", "true"], b"").await.expect_success();
    let asked = &events(&world, "OpenTunnel")[0]["requestParameters"];
    assert_eq!(asked["instanceConnectEndpointId"], "eice-00000000000000006");
    assert_eq!(asked["privateIpAddress"], "2600:1f10::17");
}

#[tokio::test(flavor = "multi_thread")]
async fn dual_stack_name_is_dialed() {
    let world = World::builtin().await;
    let name = world.emulator.access().tunnel_authority();
    world.emulator.edit_endpoint(&"eice-0123456789abcdef0".parse().unwrap(), |endpoint| {
        endpoint.dns_name = Some("endpoint.invalid".into());
        endpoint.dualstack_dns_name = Some(name);
    });
    let mut shell = ClientShell::new(&world);
    // The tunnel alone: AWS's clients reject an endpoint URL together with dual-stack.
    let said = shell.run(&["tunnel", INSTANCE, "--max-tunnel-duration", "1"], b"").await;
    assert!(said.code == Some(69) && said.stderr.contains("endpoint.invalid"), "{}", said.stderr);
    shell.export("AWS_USE_DUALSTACK_ENDPOINT", "true");
    let said = shell.run(&["tunnel", INSTANCE, "--max-tunnel-duration", "1"], b"").await;
    assert!(said.stdout.starts_with(b"SSH-2.0-"), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoami_prints_identity() {
    let world = World::builtin().await;
    let access = world.emulator.access();
    let account = eice::model::Account::default();
    let identity = world.aws().client(&account, None).await.unwrap().caller_identity().await.unwrap();
    assert_eq!(identity.account, access.account_id());
    assert!(identity.arn.starts_with("arn:aws:iam::123456789012:"), "{identity:?}");
    let event = &events(&world, "GetCallerIdentity")[0];
    assert_eq!(identity.request_id.as_deref(), event["requestID"].as_str());
    assert_eq!(Some(identity.user_id.as_str()), event["userIdentity"]["principalId"].as_str());
}
