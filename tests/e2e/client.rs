//! What the client verbs share: exit codes, hints, and the emulator's JSON line.

use std::net::TcpListener;
use std::time::Duration;

use eice::emulator::{Backend, Certificate, IamPolicy, InstanceSpec, InstanceState, UpgradeFault};

use crate::lab::{ClientShell, INSTANCE, Program, Sshd, World, eventually, fingerprint};

#[tokio::test(flavor = "multi_thread")]
async fn changed_host_key_is_refused() {
    let (first, second) = (Sshd::start(), Sshd::start());
    let world = World::of(&first).await;
    let shell = ClientShell::new(&world);
    let to = format!("{}@{INSTANCE}", first.user.name);
    shell.run(&["ssh", &to, "--", "true"], b"").await.expect_success();
    let spec = InstanceSpec { backend: Backend::Forward(second.addr), ..InstanceSpec::default() };
    world.emulator.add_instance(spec).await.unwrap();
    let said = shell.run(&["ssh", &to, "--", "true"], b"").await;
    assert_eq!(said.code, Some(76), "{said:?}");
    for sshd in [&first, &second] {
        let fingerprint = fingerprint(&sshd.host_key());
        assert!(said.stderr.contains(&fingerprint), "{fingerprint} is not in {}", said.stderr);
    }
    second.is_idle();
    // With --host-key strict, a client that has not seen the instance is refused.
    let stranger = ClientShell::new(&world);
    let said = stranger.run(&["ssh", "--host-key", "strict", &to, "--", "true"], b"").await;
    assert_eq!(said.code, Some(76), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_has_exit_code_stage_and_hint() {
    fn allow(world: &World, policy: &str) {
        let key = world.emulator.access().access_key_id().to_owned();
        let policy: IamPolicy = serde_json::from_str(policy).unwrap();
        assert!(world.emulator.set_policies(&key, vec![policy]));
    }
    const DENY: &str = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2-instance-connect:OpenTunnel", "Resource": "*"}]}"#;
    type Spoil = fn(&World, &mut ClientShell);
    let cases: [(i32, &str, Spoil); 15] = [
        (66, "instance: ", |world, _| assert!(world.emulator.remove_instance(&world.instance()))),
        (69, "instance: ", |world, _| {
            world.emulator.set_instance_state(&world.instance(), InstanceState::Stopped);
        }),
        (78, "instance: ", |world, _| world.emulator.clock().advance(Duration::from_secs(600))),
        (69, "upgrade: ", |world, _| world.emulator.faults().update(|faults| faults.quota = Some(0))),
        (69, "upgrade: ", |world, _| {
            world.emulator.faults().update(|faults| faults.upgrade = Some(UpgradeFault::DropBefore));
        }),
        (76, "tls: ", |world, _| {
            world.emulator.faults().update(|faults| faults.certificate = Certificate::WrongName);
        }),
        (76, "tls: ", |_, shell| shell.unset("AWS_CA_BUNDLE")),
        (78, "", |_, shell| shell.export("AWS_CA_BUNDLE", "/does/not/exist")),
        // No local authority: the bundled roots do not include the emulator's.
        (76, "tls: ", |_, shell| {
            shell.unset("AWS_CA_BUNDLE");
            let empty = shell.file("certificates");
            std::fs::create_dir(&empty).unwrap();
            shell.export("SSL_CERT_DIR", empty.display().to_string());
        }),
        (78, "credentials: ", |_, shell| shell.unset("AWS_SECRET_ACCESS_KEY")),
        (78, "credentials: ", |_, shell| {
            shell.unset("AWS_ACCESS_KEY_ID");
            shell.unset("AWS_SECRET_ACCESS_KEY");
        }),
        (69, "tcp: ", |_, shell| {
            let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            shell.export("HTTPS_PROXY", format!("http://{dead}"));
        }),
        (77, "", |world, _| allow(world, r#"{"Statement": []}"#)),
        (64, "", |_, shell| shell.export("EICE_HOST_KEY", "nonsense")),
        (77, "upgrade: ", |world, _| allow(world, DENY)),
    ];
    for (code, start, spoil) in cases {
        let world = World::builtin().await;
        let mut shell = ClientShell::new(&world);
        spoil(&world, &mut shell);
        let said = shell.run(&["ssh", INSTANCE, "--", "true"], b"").await;
        assert_eq!(said.code, Some(code), "{start}: {}", said.stderr);
        assert!(said.stdout.is_empty());
        if code != 64 {
            let begins = said.stderr.starts_with(&format!("eice: {start}"));
            assert!(begins && said.stderr.contains("  hint: "), "{}", said.stderr);
        }
        assert_eq!(world.emulator.open_tunnels(), 0);
    }
}

/// Each call to AWS that is never answered times out and is named.
#[tokio::test(flavor = "multi_thread")]
async fn hanging_api_times_out() {
    let calls = [
        ("DescribeInstances", "instance"),
        ("DescribeInstanceConnectEndpoints", "endpoint"),
        ("SendSSHPublicKey", "key-push"),
    ];
    let hangs = async |(action, stage): (&str, &str)| {
        let world = World::builtin().await;
        world.emulator.faults().update(|faults| {
            faults.api_hang = true;
            faults.api_action = Some(action.to_owned());
        });
        let said = ClientShell::new(&world).run(&["ssh", INSTANCE, "--", "true"], b"").await;
        assert_eq!(said.code, Some(75), "{action}: {}", said.stderr);
        assert!(said.stderr.starts_with(&format!("eice: {stage}: ")), "{action}: {}", said.stderr);
        assert!(said.stderr.contains(action) && said.stderr.contains("hint: "), "{action}: {}", said.stderr);
        eventually("its tunnel is closed", || (world.emulator.open_tunnels() == 0).then_some(()));
    };
    tokio::join!(hangs(calls[0]), hangs(calls[1]), hangs(calls[2]));
}

/// The output of `eice emulator --json` is everything that another program needs.
#[tokio::test(flavor = "multi_thread")]
async fn emulator_json_suffices_for_client() {
    let mut emulator = Program::start(&["emulator", "--listen", "127.0.0.1:0", "--json"], &[]);
    let ready = &emulator.ready;
    let urls = ready.endpoint_urls.clone().unwrap();
    assert!([&urls.ec2, &urls.ec2_instance_connect, &urls.sts].iter().all(|url| **url == ready.url));
    let credentials = ready.credentials.clone().unwrap();
    assert_eq!(ready.env["AWS_ACCESS_KEY_ID"], credentials.access_key_id);
    assert_eq!(Some(&ready.env["AWS_REGION"]), ready.region.as_ref());
    let ca_file = ready.ca_file.clone().unwrap();
    assert_eq!(ready.env["AWS_CA_BUNDLE"], ca_file);
    let shell =
        ClientShell { home: tempfile::tempdir().unwrap(), env: ready.env.clone().into_iter().collect() };
    let instance = ready.instance.clone().unwrap();
    let said = shell.run(&["ssh", &instance, "--", "echo here"], b"").await;
    assert_eq!(said.expect_success(), "here\n");
    assert_eq!(tokio::task::block_in_place(|| emulator.part.terminate()).code(), Some(0));
    assert!(!std::path::Path::new(&ca_file).exists(), "nothing is left behind");
}

/// A demo is ready in less than a second, including the page.
#[tokio::test(flavor = "multi_thread")]
async fn demo_starts_within_one_second() {
    let env = [("DOCKER_HOST", "unix:///nonexistent".to_owned())];
    // One of several attempts must be quick: other tests run concurrently.
    let mut tries = (0..20).map(|_| {
        let began = std::time::Instant::now();
        let demo = Program::start(&["demo", "--listen", "127.0.0.1:0", "--json"], &env);
        let took = began.elapsed();
        assert!(demo.ready.link.is_some());
        took
    });
    let is_quick = tokio::task::block_in_place(|| tries.any(|took| took < Duration::from_secs(1)));
    assert!(is_quick);
}
