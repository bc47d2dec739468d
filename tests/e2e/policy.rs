//! The IAM policy that `eice policy` prints, with an example in docs/operations.md: it is sufficient, minimal, and no
//! wider than documented.

use std::path::Path;

use eice::emulator::{EmulatorConfig, EndpointSpec, IamPolicy};
use eice::model::{EndpointChoice, Fault, InstanceTarget, Stage};
use serde_json::{Value, json};

use crate::lab::{ClientShell, INSTANCE, World};

const USER: &str = "ubuntu";
const ENDPOINT: &str = "eice-0123456789abcdef0";

/// Returns the documented command and its documented output.
fn documented() -> (Vec<String>, String) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```sh\neice policy").expect("docs/operations.md calls eice policy");
    let (arguments, rest) = rest.split_once("```").unwrap();
    let (_, rest) = rest.split_once("```json\n").expect("and shows what it prints");
    let (printed, _) = rest.split_once("```").unwrap();
    let arguments = arguments.replace("\\\n", " ");
    let words = ["policy"].into_iter().chain(arguments.split_whitespace());
    (words.map(str::to_owned).collect(), printed.to_owned())
}

/// Returns the output of `eice policy ARGS`.
async fn printed(shell: &ClientShell, args: &[&str]) -> Value {
    let args: Vec<_> = ["policy"].iter().chain(args).copied().collect();
    serde_json::from_str(&shell.run(&args, b"").await.expect_success()).unwrap()
}

/// Returns the policy of the documented example for this account, with more or other options.
async fn policy(world: &World, more: &[&str]) -> Value {
    let access = world.emulator.access();
    let mut args = vec!["--region", access.region(), "--account", access.account_id(), "--os-user", USER];
    args.extend(more);
    printed(&ClientShell::new(world), &args).await
}

fn target(world: &World) -> InstanceTarget {
    let mut target = world.target();
    target.os_user = USER.parse().unwrap();
    target
}

fn set(world: &World, policy: &Value) {
    let policy: IamPolicy = serde_json::from_value(policy.clone()).unwrap();
    let key = world.emulator.access().access_key_id().to_owned();
    assert!(world.emulator.set_policies(&key, vec![policy]));
}

/// Opens `target` under `policy` with a new client, without cached lookups.
async fn opens(world: &World, policy: &Value, target: &InstanceTarget) -> Result<(), (Stage, Fault)> {
    set(world, policy);
    let client = world.client(|_, _, _| {});
    match client.connect_ssh(target, &|_: _| {}).await {
        Ok(host) => {
            eice::model::Host::close(&host).await;
            Ok(())
        }
        Err(error) => Err((error.stage(), error.fault())),
    }
}

const NO_TUNNEL: Result<(), (Stage, Fault)> = Err((Stage::Upgrade, Fault::Denied));
const NO_KEY: Result<(), (Stage, Fault)> = Err((Stage::KeyPush, Fault::Denied));

#[tokio::test(flavor = "multi_thread")]
async fn documented_policy_is_printed() {
    let world = World::builtin().await;
    let (args, json) = documented();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    assert_eq!(ClientShell::new(&world).run(&args, b"").await.expect_success(), json);
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_is_sufficient_and_minimal() {
    let world = World::builtin().await;
    let policy: Value = serde_json::from_str(&documented().1).unwrap();
    let target = target(&world);
    assert_eq!(opens(&world, &policy, &target).await, Ok(()));

    let statements = policy["Statement"].as_array().unwrap();
    let mut left_out = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        let actions = match &statement["Action"] {
            Value::Array(actions) => actions.clone(),
            action => vec![action.clone()],
        };
        for action in &actions {
            let mut less = policy.clone();
            let rest: Vec<_> = actions.iter().filter(|other| *other != action).collect();
            if rest.is_empty() {
                less["Statement"].as_array_mut().unwrap().remove(at);
            } else {
                less["Statement"][at]["Action"] = json!(rest);
            }
            let (stage, fault) = opens(&world, &less, &target).await.unwrap_err();
            assert_eq!(fault, Fault::Denied, "without {action}");
            left_out.push((action.as_str().unwrap().to_owned(), stage));
        }
    }
    let named = |action: &str, stage| (action.to_owned(), stage);
    assert_eq!(
        left_out,
        [
            named("ec2:DescribeInstances", Stage::Instance),
            named("ec2:DescribeInstanceConnectEndpoints", Stage::Endpoint),
            named("ec2-instance-connect:OpenTunnel", Stage::Upgrade),
            named("ec2-instance-connect:SendSSHPublicKey", Stage::KeyPush),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_targets_are_denied() {
    let other_endpoint =
        EndpointSpec { id: "eice-0fffffffffffffff0".parse().unwrap(), ..EndpointSpec::default() };
    let endpoints = vec![EndpointSpec::default(), other_endpoint];
    let world = World::with(EmulatorConfig { endpoints, ..EmulatorConfig::default() }).await;
    let narrow = ["--endpoint-id", ENDPOINT, "--address", "10.0.1.0/24", "--max-tunnel-duration", "900"];
    let policy = policy(&world, &narrow).await;
    let mut asked = target(&world);
    asked.max_duration = Some("900".parse().unwrap());
    assert_eq!(opens(&world, &policy, &asked).await, Ok(()));

    let mut other = asked.clone();
    other.port = "3389".parse().unwrap();
    assert_eq!(opens(&world, &policy, &other).await, NO_TUNNEL, "another port");
    for longer in [Some("901".parse().unwrap()), None] {
        let mut other = asked.clone();
        other.max_duration = longer;
        assert_eq!(opens(&world, &policy, &other).await, NO_TUNNEL, "{longer:?}: none counts as 3600");
    }
    let mut other = asked.clone();
    other.endpoint = EndpointChoice::Id("eice-0fffffffffffffff0".parse().unwrap());
    assert_eq!(opens(&world, &policy, &other).await, NO_TUNNEL, "another endpoint");
    let mut other = asked.clone();
    other.os_user = "root".parse().unwrap();
    assert_eq!(opens(&world, &policy, &other).await, NO_KEY, "another user");
    let instance = world.instance();
    world.emulator.edit_instance(&instance, |spec| spec.private_ip = Some("10.0.2.23".parse().unwrap()));
    assert_eq!(opens(&world, &policy, &asked).await, NO_TUNNEL, "another address");
    world.emulator.edit_instance(&instance, |spec| {
        spec.private_ip = Some("10.0.1.23".parse().unwrap());
        spec.tags.insert("Role".into(), "database".into());
    });
    assert_eq!(opens(&world, &policy, &asked).await, NO_KEY, "another tag");
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold_independently() {
    let world = World::builtin().await;
    let (target, policy) = (target(&world), serde_json::from_str::<Value>(&documented().1).unwrap());
    let narrowed = [
        ("Tunnel", "IpAddress", "ec2-instance-connect:privateIpAddress", "192.0.2.0/24", NO_TUNNEL),
        ("Tunnel", "NumericEquals", "ec2-instance-connect:remotePort", "3389", NO_TUNNEL),
        ("Tunnel", "NumericLessThanEquals", "ec2-instance-connect:maxTunnelDuration", "3599", NO_TUNNEL),
        ("Key", "StringEquals", "ec2:osuser", "root", NO_KEY),
        ("Key", "StringEquals", "aws:ResourceTag/Role", "something-else", NO_KEY),
    ];
    let conditions =
        policy["Statement"].as_array().unwrap().iter().filter_map(|one| one["Condition"].as_object());
    let count: usize =
        conditions.flat_map(|one| one.values()).map(|keys| keys.as_object().unwrap().len()).sum();
    assert_eq!(count, narrowed.len(), "every condition is tried");
    for (sid, operator, key, value, denied) in narrowed {
        let mut policy = policy.clone();
        let statements = policy["Statement"].as_array_mut().unwrap();
        let statement = statements.iter_mut().find(|statement| statement["Sid"] == sid).unwrap();
        let condition = &mut statement["Condition"][operator][key];
        assert!(condition.is_string(), "the policy has {operator} {key}");
        *condition = json!(value);
        assert_eq!(opens(&world, &policy, &target).await, denied, "{operator} {key} {value}");
    }

    // OpenTunnel is authorized on the endpoint's ARN: a statement on instance/* does not allow it.
    let mut policy = policy.clone();
    let statements = policy["Statement"].as_array_mut().unwrap();
    let arn = statements.iter().find(|statement| statement["Sid"] == "Key").unwrap()["Resource"].clone();
    statements.iter_mut().find(|statement| statement["Sid"] == "Tunnel").unwrap()["Resource"] = arn;
    assert_eq!(opens(&world, &policy, &target).await, NO_TUNNEL);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_tag_is_separate() {
    let world = World::builtin().await;
    let policy = policy(&world, &["--endpoint-tag", "Team=blue"]).await;
    let target = target(&world);
    world
        .emulator
        .edit_instance(&world.instance(), |spec| drop(spec.tags.insert("Team".into(), "blue".into())));
    assert_eq!(opens(&world, &policy, &target).await, NO_TUNNEL, "the instance's tag does not count");
    world.emulator.edit_endpoint(&ENDPOINT.parse().unwrap(), |spec| {
        spec.tags.insert("Team".into(), "blue".into());
    });
    assert_eq!(opens(&world, &policy, &target).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_passes_with_printed_policy() {
    let world = World::builtin().await;
    let shell = ClientShell::new(&world);
    let doctor = ["doctor", "--json", "ubuntu@i-0123456789abcdef0"];
    let warned = |report: &Value| {
        let steps = report["steps"].as_array().unwrap().iter();
        steps.filter(|step| step["outcome"] == "warned").map(|step| step["name"].clone()).collect::<Vec<_>>()
    };
    for (more, expected) in [(&["--doctor"][..], vec![]), (&[], vec![json!("security-groups")])] {
        set(&world, &policy(&world, more).await);
        let report: Value = serde_json::from_str(&shell.run(&doctor, b"").await.expect_success()).unwrap();
        assert_eq!(warned(&report), expected, "{report:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn console_needs_own_statement() {
    let world = World::builtin().await;
    let shell = ClientShell::new(&world);
    let ssh = ["ssh", "--host-key", "console", "ubuntu@i-0123456789abcdef0", "--", "true"];
    set(&world, &policy(&world, &[]).await);
    let said = shell.run(&ssh, b"").await;
    assert!(said.code != Some(0) && said.stderr.contains("GetConsoleOutput"), "{said:?}");
    let with_console = policy(&world, &["--console"]).await;
    set(&world, &with_console);
    shell.run(&ssh, b"").await.expect_success();
    let last = with_console["Statement"].as_array().unwrap().last().unwrap();
    assert_eq!(last["Condition"], json!({"StringEquals": {"aws:ResourceTag/Role": "workspace"}}));
}

#[tokio::test(flavor = "multi_thread")]
async fn known_endpoint_needs_no_lookup() {
    let world = World::builtin().await;
    let policy = policy(&world, &["--no-lookup"]).await;
    let actions: Vec<_> =
        policy["Statement"].as_array().unwrap().iter().map(|one| one["Action"].clone()).collect();
    assert_eq!(
        actions,
        [json!("ec2-instance-connect:OpenTunnel"), json!("ec2-instance-connect:SendSSHPublicKey")]
    );
    let mut known = target(&world);
    assert_eq!(opens(&world, &policy, &known).await, Err((Stage::Instance, Fault::Denied)));
    let dns_name = world.emulator.access().tunnel_authority();
    known.endpoint = EndpointChoice::Known { id: ENDPOINT.parse().unwrap(), dns_name };
    known.private_address = Some("10.0.1.23".parse().unwrap());
    assert_eq!(opens(&world, &policy, &known).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn single_instance_policy_is_narrow() {
    let world = World::builtin().await;
    let shell = ClientShell::new(&world);
    // By its Name tag.
    let policy = printed(&shell, &["ubuntu@workspace"]).await;
    let of =
        |sid: &str| policy["Statement"].as_array().unwrap().iter().find(|one| one["Sid"] == sid).unwrap();
    assert_eq!(
        of("Tunnel")["Resource"],
        format!("arn:aws:ec2:eu-west-1:123456789012:instance-connect-endpoint/{ENDPOINT}")
    );
    assert_eq!(
        of("Tunnel")["Condition"]["IpAddress"]["ec2-instance-connect:privateIpAddress"],
        "10.0.1.23/32"
    );
    assert_eq!(of("Key")["Resource"], format!("arn:aws:ec2:eu-west-1:123456789012:instance/{INSTANCE}"));
    assert_eq!(of("Key")["Condition"], json!({"StringEquals": {"ec2:osuser": USER}}));
    assert_eq!(opens(&world, &policy, &target(&world)).await, Ok(()));
    world
        .emulator
        .edit_instance(&world.instance(), |spec| spec.private_ip = Some("10.0.1.24".parse().unwrap()));
    assert_eq!(opens(&world, &policy, &target(&world)).await, NO_TUNNEL);
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_gives_policy_per_identity() {
    let world = World::builtin().await;
    let shell = ClientShell::new(&world);
    let file = shell.file("workspaces.toml");
    let plain = format!(
        "[[workspace]]\nid = \"0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9\"\nname = \"a\"\ninstance = \"{INSTANCE}\"\n\
         os_user = \"{USER}\"\nmax_duration = 1800\n"
    );
    std::fs::write(&file, &plain).unwrap();
    let args = ["--directory", file.to_str().unwrap(), "--account", "123456789012"];
    let policy = printed(&shell, &args).await;
    let mut asked = target(&world);
    asked.max_duration = Some("1800".parse().unwrap());
    assert_eq!(opens(&world, &policy, &asked).await, Ok(()));
    asked.max_duration = None;
    assert_eq!(opens(&world, &policy, &asked).await, NO_TUNNEL);

    let role = "arn:aws-us-gov:iam::210987654321:role/terminal";
    let other = format!(
        "{plain}[[workspace]]\nid = \"1a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9\"\nname = \"b\"\ninstance = \"i-2\"\n\
         region = \"us-gov-west-1\"\nrole_arn = \"{role}\"\nendpoint = \"eice-2\"\nendpoint_dns_name = \"x.example\"\n\
         address = \"10.9.9.9\"\n"
    );
    std::fs::write(&file, other).unwrap();
    let policies = printed(&shell, &args).await;
    let [base, assumed] = policies.as_array().unwrap().as_slice() else { panic!("{policies:#}") };
    assert_eq!((&base["role_arn"], &assumed["role_arn"]), (&Value::Null, &json!(role)));
    let last = base["policy"]["Statement"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["Action"], &last["Resource"]), (&json!("sts:AssumeRole"), &json!(role)));
    let statements = assumed["policy"]["Statement"].as_array().unwrap();
    assert_eq!(statements.len(), 2, "nothing is looked up: {assumed:#}");
    let arn = "arn:aws-us-gov:ec2:us-gov-west-1:210987654321:instance-connect-endpoint/eice-2";
    assert_eq!(statements[0]["Resource"], arn);
    assert_eq!(
        statements[0]["Condition"]["IpAddress"]["ec2-instance-connect:privateIpAddress"],
        "10.9.9.9/32"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_or_long_policy_warns() {
    let world = World::builtin().await;
    let mut shell = ClientShell::new(&world);
    shell.unset("AWS_REGION");
    shell.unset("AWS_DEFAULT_REGION");
    let said = shell.run(&["policy"], b"").await;
    assert!(said.expect_success().contains("arn:aws:ec2:*:*:instance/*"));
    assert!(
        said.stderr.contains("--region narrows") && said.stderr.contains("--account narrows"),
        "{}",
        said.stderr
    );
    let ids: Vec<_> = (0..150).map(|n| format!("--instance-id=i-{n:017x}")).collect();
    let mut args = vec!["policy", "--region", "eu-west-1", "--account", "123456789012"];
    args.extend(ids.iter().map(String::as_str));
    let said = shell.run(&args, b"").await;
    assert!(said.stderr.contains("IAM takes 6144"), "{}", said.stderr);
    said.expect_success();
    for wrong in [
        &["policy", "--account", "12"][..],
        &["policy", "--tag", "Role"],
        &["policy", "--address", "10.0.0.0/33"],
        &["policy", "--partition", "azure"],
        &["policy", INSTANCE, "--instance-id", INSTANCE],
        &["policy", "--tag", "a=b", "--no-tag"],
    ] {
        assert_eq!(shell.run(wrong, b"").await.code, Some(64), "{wrong:?}");
    }
}
