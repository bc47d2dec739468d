//! `eice doctor` against every fault that the emulator and real parts can have: what failed first, what it exits with,
//! and whether what it tells to do is what mends it.

use std::net::SocketAddr;

use eice::emulator::{
    AddressType, Backend, Config, EndpointState, InstanceSpec, InstanceState, Policy, Rule, UpgradeFault,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::lab::{Container, Docker, INSTANCE, Said, Shell, Sshd, World, eventually};

const ENDPOINT: &str = "eice-0123456789abcdef0";

/// A person who asks the doctor.
struct Patient {
    world: World,
    shell: Shell,
    args: Vec<String>,
}

impl Patient {
    fn new(world: World) -> Self {
        let shell = Shell::new(&world);
        let user = world.target().os_user;
        Self { world, shell, args: vec!["doctor".into(), format!("{user}@{INSTANCE}")] }
    }

    async fn builtin() -> Self {
        Self::new(World::with(quick()).await)
    }

    fn with(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(ToString::to_string));
        self
    }

    async fn ask(&self, more: &[&str]) -> Said {
        let args: Vec<_> = self.args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let said = self.shell.run(&args, b"").await;
        eventually("the doctor leaves no tunnel", || (self.world.emulator.open_tunnels() == 0).then_some(()));
        let secret = self.world.emulator.access().secret_access_key().to_owned();
        let stdout = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(!stdout.contains(&secret) && !said.stderr.contains(&secret), "a secret was told");
        said
    }

    /// The report, which must have this exit code and first failure, whose words must hold all of `words`.
    #[track_caller]
    fn fails<'a>(
        &'a self,
        first: &'a str,
        code: i32,
        words: &'a [&'a str],
    ) -> impl Future<Output = Value> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let said = self.ask(&["--json"]).await;
            let report: Value = serde_json::from_slice(&said.stdout)
                .unwrap_or_else(|error| panic!("{caller}: {error}: {said:?}"));
            let got = (report["first_failure"].as_str(), said.code);
            assert_eq!(got, (Some(first), Some(code)), "{caller}: {report:#}");
            assert_eq!(report["ok"], false);
            let failed = step(&report, first);
            assert!(failed["hint"].is_string(), "{caller}: nothing to do: {failed:#}");
            for word in words {
                assert!(failed.to_string().contains(word), "{caller}: no {word:?} in {failed:#}");
            }
            // Nothing after it passed by accident: it was tried for its own sake, or not reached.
            assert_eq!(report["steps"].as_array().unwrap().len(), 19);
            report
        }
    }

    async fn passes(&self) -> Value {
        let said = self.ask(&["--json"]).await;
        let report: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(said.code, Some(0), "{report:#}\n{}", said.stderr);
        assert_eq!((&report["ok"], &report["first_failure"]), (&json!(true), &Value::Null));
        report
    }

    fn set_policy(&self, policy: &Value) {
        let policy: Policy = serde_json::from_value(policy.clone()).unwrap();
        let key = self.world.emulator.access().access_key_id().to_owned();
        assert!(self.world.emulator.set_policies(&key, vec![policy]));
    }
}

/// A world that does not take long over what cannot be reached.
fn quick() -> Config {
    Config { dial_timeout_ms: 300, ..Config::default() }
}

fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

fn outcomes(report: &Value, of: &str) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap().iter().filter(|step| step["outcome"] == of);
    steps.map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

/// The text with what differs from one run to the next replaced.
fn normalised(text: &str, world: &World) -> String {
    let port = world.emulator.access().tunnel_addr().port().to_string();
    let text = text.replace(&port, "PORT");
    let words = |line: &str| {
        let mut out = String::new();
        let mut rest = line;
        while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
            out.push_str(&rest[..at]);
            let end = rest[at..].find([' ', ',', ';', ')']).map_or(rest.len(), |end| at + end);
            let word = &rest[at..end];
            let is_id = word.len() == 36 && word.bytes().filter(|b| *b == b'-').count() == 4;
            out.push_str(match word {
                _ if is_id => "REQUEST-ID--------------------------",
                word if word.starts_with("SHA256:") => "SHA256:FINGERPRINT",
                word => word,
            });
            rest = &rest[end..];
        }
        out + rest
    };
    let lines = text.lines().map(|line| {
        let line = words(line);
        match time(&line) {
            // In the table the columns stay where they are.
            Some(time) if ["ok ", "FAIL", "warn", "skip"].iter().any(|mark| line.starts_with(mark)) => {
                line.replacen(time, &format!("{:>1$}", "TIME", time.len()), 1)
            }
            Some(time) => line.replacen(time, "TIME", 1),
            None => line,
        }
    });
    lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// The first number with decimals and a unit of time.
fn time(line: &str) -> Option<&str> {
    let units = [" ms", " s"].map(|unit| line.match_indices(unit).map(move |(at, _)| (at, unit.len())));
    units.into_iter().flatten().find_map(|(at, unit)| {
        let start = line[..at].rfind(' ').map_or(0, |space| space + 1);
        let number = &line[start..at];
        let is_time = number.contains('.') && number.parse::<f64>().is_ok();
        is_time.then(|| &line[start..at + unit])
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well() {
    let patient = Patient::builtin().await;
    let report = patient.passes().await;
    assert_eq!(outcomes(&report, "skipped"), ["proxy", "engine", "container"]);
    assert_eq!(outcomes(&report, "passed").len(), 16, "{report:#}");
    for asked in ["credentials", "instance", "endpoint", "security-groups", "key-push", "upgrade"] {
        assert!(step(&report, asked)["request_id"].is_string(), "{asked}: {report:#}");
    }
    assert_eq!(report["account"], "123456789012");
    assert_eq!(report["endpoint"], ENDPOINT);
    let said = patient.ask(&[]).await;
    insta::assert_snapshot!("all_is_well", normalised(&said.good(), &patient.world));
    // It says that it was the first use, and does not make it one.
    assert!(step(&report, "key-exchange")["message"].as_str().unwrap().contains("was not kept"));
    assert!(!patient.shell.file("state/eice/host_keys.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_permission_that_is_missing() {
    let patient = Patient::builtin().await;
    patient.set_policy(&without("ec2-instance-connect:OpenTunnel"));
    patient.world.emulator.edit_endpoint(&ENDPOINT.parse().unwrap(), |spec| spec.tags.clear());
    let said = patient.ask(&[]).await;
    assert_eq!(said.code, Some(77), "{}", said.stderr);
    insta::assert_snapshot!(
        "one_permission_that_is_missing",
        normalised(&String::from_utf8_lossy(&said.stdout), &patient.world)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credentials_or_wrong_ones() {
    let mut patient = Patient::builtin().await;
    patient.shell.export("AWS_SECRET_ACCESS_KEY", "wrong");
    let report = patient.fails("credentials", 78, &["access key"]).await;
    assert_eq!(outcomes(&report, "not-reached").len(), 18);
    patient.shell.unset("AWS_SECRET_ACCESS_KEY");
    patient.shell.unset("AWS_ACCESS_KEY_ID");
    patient.fails("credentials", 78, &["AWS_ACCESS_KEY_ID"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_region_or_another_instance() {
    let patient = Patient::builtin().await.with(&["--region", "us-east-1"]);
    patient.fails("credentials", 78, &["the region is us-east-1"]).await;

    let mut patient = Patient::builtin().await;
    patient.args[1] = "i-0fffffffffffffff0".into();
    let report = patient.fails("instance", 66, &["i-0fffffffffffffff0", "eu-west-1", "123456789012"]).await;
    // There is nothing to push a key to; the permission to look endpoints up is there.
    assert_eq!(step(&report, "endpoint")["outcome"], "passed");
    assert_eq!(step(&report, "key-push")["outcome"], "not-reached");
    patient.args[1] = "no-such-name".into();
    let report = patient.fails("instance", 66, &["Name=no-such-name"]).await;
    assert_eq!(step(&report, "credentials")["outcome"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_run() {
    let patient = Patient::builtin().await;
    patient.world.emulator.set_instance_state(&patient.world.instance(), InstanceState::Stopped);
    let report = patient.fails("instance-state", 69, &["stopped", "start the instance"]).await;
    for looked_at in ["instance", "endpoint", "endpoint-state", "address-family", "security-groups"] {
        assert_eq!(step(&report, looked_at)["outcome"], "passed", "{report:#}");
    }
    assert_eq!(step(&report, "key-push")["outcome"], "not-reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_cannot_be_used() {
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
async fn addresses_that_do_not_fit() {
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

/// What the default user may do, but for `action`.
fn without(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "NotAction": action, "Resource": "*"},
    ]})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_prints_for_a_missing_permission_is_what_grants_it() {
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
async fn a_tag_that_the_policy_asks_for() {
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
async fn a_look_up_that_is_not_needed_may_be_denied() {
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

#[tokio::test(flavor = "multi_thread")]
async fn security_groups_without_the_rule() {
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

        // Not readable is no failure; then the tunnel's own end is the first, and says what could be found out.
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
async fn a_block_of_addresses_in_the_instances_group() {
    let patient = Patient::builtin().await;
    let emulator = &patient.world.emulator;
    let lets_in = |block: &str| {
        let rule = Rule { ports: Some((22, 22)), groups: Vec::new(), cidrs: vec![block.to_owned()] };
        emulator.edit_security_groups(|groups| {
            groups.iter_mut().find(|spec| spec.id == "sg-0aaaaaaaaaaaa0001").unwrap().ingress = vec![rule];
        });
    };
    let message = |report: &Value| step(report, "security-groups")["message"].as_str().unwrap().to_owned();
    lets_in("10.0.0.0/16");
    assert!(message(&patient.passes().await).contains("10.0.0.0/16, if that holds the endpoint's address"));
    // The instance sees the client now, which comes from loopback.
    emulator.edit_endpoint(&ENDPOINT.parse().unwrap(), |spec| spec.preserve_client_ip = true);
    let report = patient.fails("banner", 69, &["network ACLs"]).await;
    assert!(message(&report).contains("10.0.0.0/16, if that holds the clients' addresses"), "{report:#}");
    lets_in("127.0.0.0/8");
    patient.passes().await;
    lets_in("0.0.0.0/0");
    assert!(message(&patient.passes().await).ends_with("lets 22 in from 0.0.0.0/0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_is_refused() {
    let patient = Patient::builtin().await;
    let faults = patient.world.emulator.faults();
    faults.update(|faults| faults.quota = Some(0));
    patient.fails("upgrade", 69, &["20 connections"]).await;
    faults.clear();
    let refusal = eice::emulator::Refusal { status: 500, body: "oops".into(), ..Default::default() };
    faults.update(|faults| faults.upgrade = Some(UpgradeFault::Refuse(refusal)));
    patient.fails("upgrade", 69, &["500"]).await;
    faults.clear();
    faults.update(|faults| faults.certificate = eice::emulator::Certificate::Expired);
    let report = patient.fails("tls", 76, &["clock"]).await;
    assert_eq!(step(&report, "tcp")["outcome"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_answer() {
    let instances = vec![InstanceSpec { backend: Backend::Closed, ..InstanceSpec::default() }];
    let patient = Patient::new(World::with(Config { instances, ..quick() }).await);
    let report = patient.fails("banner", 69, &["sshd", "The security groups let it through"]).await;
    assert_eq!(step(&report, "upgrade")["outcome"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_answers_at_port_22() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let instances = vec![InstanceSpec { backend: Backend::Forward(address), ..InstanceSpec::default() }];
    let patient = Patient::new(World::with(Config { instances, ..quick() }).await);
    patient.fails("banner", 76, &["it is not sshd"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_is_over() {
    let patient = Patient::builtin().await.with(&["--timeout", "2"]);
    patient.world.emulator.faults().update(|faults| {
        faults.api_hang = true;
        faults.api_action = Some("DescribeInstances".into());
    });
    let report = patient.fails("instance", 75, &["the 2 s for everything"]).await;
    assert_eq!(step(&report, "credentials")["outcome"], "passed");
    assert!(report["ms"].as_f64().unwrap() < 10_000.0, "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_that_does_not_take_the_key() {
    let sshd = Sshd::start();
    let patient = Patient::new(World::of(&sshd).await);
    patient.passes().await;
    sshd.is_idle();
    sshd.takes_keys_from("http://127.0.0.1:9");
    let report = patient.fails("authentication", 77, &["package ec2-instance-connect"]).await;
    assert_eq!(step(&report, "key-exchange")["outcome"], "passed");
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_that_opens_no_channel_or_too_few() {
    let sshd = Sshd::with("MaxSessions 0", &[]);
    let patient = Patient::new(World::of(&sshd).await);
    patient.fails("channel", 69, &["MaxSessions"]).await;
    sshd.is_idle();
    // One is enough for the login shell and too few for a container.
    let sshd = Sshd::with("MaxSessions 1", &[]);
    let patient = Patient::new(World::of(&sshd).await);
    patient.passes().await;
    patient.with(&["--container", "web"]).fails("channel", 69, &["MaxSessions"]).await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_gives_no_shell_and_no_pty() {
    let sshd = Sshd::with("ForceCommand echo not for you; exit 1", &[]);
    let patient = Patient::new(World::of(&sshd).await);
    let report = patient.fails("shell", 69, &["not for you", "ForceCommand"]).await;
    assert_eq!(step(&report, "channel")["outcome"], "passed");
    let sshd = Sshd::with("PermitTTY no", &[]);
    let patient = Patient::new(World::of(&sshd).await);
    patient.fails("shell", 69, &["PermitTTY"]).await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_in_a_container_and_nothing_is_left_there() {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
    let container = Container::start(Docker::SH, "A=b");
    let patient = Patient::new(World::of(&sshd).await).with(&["--container", &container.name]);
    let report = patient.passes().await;
    assert_eq!(outcomes(&report, "skipped"), ["proxy"]);
    for (check, words) in [("engine", "`docker` answers"), ("container", "runs"), ("shell", "sh started in")]
    {
        assert!(step(&report, check)["message"].as_str().unwrap().contains(words), "{report:#}");
    }
    container.is_idle();
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_cannot_be_opened() {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
    let world = World::of(&sshd).await;
    let patient = Patient::new(world);
    let opens = |engine: &'static str, name: &str| {
        let mut args = patient.args.clone();
        args.extend(["--container", name, "--engine", engine].map(String::from));
        args
    };
    let container = Container::start(Docker::SH, "A=b");
    let ill = Patient { args: opens("no-such-docker", "web"), ..Patient::new(World::of(&sshd).await) };
    ill.fails("engine", 69, &["is not installed"]).await;
    let ill = Patient { args: opens("docker", "no-such-container"), ..ill };
    let report = ill.fails("container", 66, &["docker ps"]).await;
    assert_eq!(step(&report, "engine")["outcome"], "passed");

    docker.run(["pause", &container.name]);
    let ill = Patient { args: opens("docker", &container.name), ..ill };
    ill.fails("container", 69, &["paused", "docker unpause"]).await;
    docker.run(["unpause", &container.name]);
    ill.passes().await;
    // Its own shell goes on; there is none for anybody else.
    docker.run(["exec", &container.name, "rm", "/bin/sh"]);
    let report = ill.fails("shell", 69, &["the image needs a POSIX sh"]).await;
    assert_eq!(step(&report, "container")["outcome"], "passed");
    container.is_idle();
    docker.run(["stop", "-t", "0", &container.name]);
    ill.fails("container", 69, &["exited", "docker start"]).await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_not_for_this_user() {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[]);
    let patient = Patient::new(World::of(&sshd).await).with(&["--container", "web"]);
    patient.fails("engine", 77, &["to the docker group"]).await;
    sshd.is_idle();
}
