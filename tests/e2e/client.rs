//! `eice ssh` and `eice tunnel` as a user types them: streams, status, terminal, listener, exit codes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use eice::cli::ready::Ready;
use eice::emulator::{Backend, Certificate, Config, InstanceSpec, InstanceState, Policy, UpgradeFault};
use eice::terminal::{Exit, Size, local};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::lab::{Console, EICE, INSTANCE, Program, Shell, Sshd, World, eventually, run_ok};

/// Longer than any of this takes.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_our_streams_and_its_status_becomes_ours() {
    let world = World::builtin().await;
    let shell = Shell::new(&world);
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let said = shell.run(&["ssh", INSTANCE, "--", "cat; echo problem >&2; exit 7"], &bytes).await;
    assert_eq!((said.code, said.stderr.as_str()), (Some(7), "problem\n"), "and nothing of ours");
    assert!(said.stdout == bytes, "every byte passes as it is");
    let said = shell.run(&["ssh", INSTANCE, "--", "kill -TERM $$"], b"").await;
    assert_eq!(said.code, Some(128 + 15), "{said:?}");
    eventually("the tunnels are closed", || (world.emulator.open_tunnels() == 0).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_tells_its_stages_follows_its_window_and_keeps_the_status() {
    let world = World::builtin().await;
    world.emulator.faults().update(|faults| faults.upgrade_delay_ms = 300);
    let shell = Shell::new(&world);
    let command = local::Command::new(EICE)
        .args(["ssh", INSTANCE])
        .env(shell.env.clone())
        .env([("HOME", shell.home.path()), ("TERM", "xterm-256color".as_ref())]);
    let mut console = Console::new(local::spawn(command, Size::new(100, 30).unwrap()).unwrap());
    // The stage that takes long is on the line, which is gone when the shell speaks.
    console.until("eice: ").await;
    console.until("upgrade").await;
    console.until("\r\x1b[2K").await;
    console
        .line("stty size; until [ \"$(stty size)\" = '43 132' ]; do sleep 0.05; done; echo fol''lowed")
        .await;
    assert!(console.until("30 100").await.ends_with("30 100"));
    console.control().resize(Size::new(132, 43).unwrap()).await.unwrap();
    console.until("followed").await;
    console.line("exit 3").await;
    assert_eq!(console.finish().await.2, Exit::Code(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_prints_its_port_and_carries_several_connections() {
    let world = World::builtin().await;
    let shell = Shell::new(&world);
    let mut command = shell.command(&["tunnel", INSTANCE, "--listen", "127.0.0.1:0", "--json"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    tokio::task::block_in_place(|| stdout.read_line(&mut line)).unwrap();
    let ready: Ready = serde_json::from_str(&line).unwrap();
    assert_eq!((ready.verb.as_str(), ready.instance.as_deref()), ("tunnel", Some(INSTANCE)));
    let addr = ready.url.strip_prefix("tcp://").unwrap().to_owned();
    let mut open = Vec::new();
    for n in 1..=3 {
        let mut stream = TcpStream::connect(&addr).await.unwrap();
        let mut banner = [0; 8];
        tokio::time::timeout(LONG, stream.read_exact(&mut banner)).await.unwrap().unwrap();
        assert_eq!(&banner, b"SSH-2.0-");
        open.push(stream);
        assert_eq!(world.emulator.open_tunnels(), n, "each connection is a tunnel of its own");
    }
    drop(open.pop());
    eventually("its tunnel goes with a connection", || (world.emulator.open_tunnels() == 2).then_some(()));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(tokio::task::block_in_place(|| child.wait()).unwrap().code(), Some(0));
    eventually("all tunnels go with it", || (world.emulator.open_tunnels() == 0).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_on_stdio_carries_bytes_and_ends_with_the_remote_side() {
    // What an echo says before it ends comes out whole although stdin has ended.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = Backend::Forward(listener.local_addr().unwrap());
    let instances = vec![InstanceSpec { backend, ..InstanceSpec::default() }];
    let world = World::with(Config { instances, ..Config::default() }).await;
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = vec![0; 300_000];
        stream.read_exact(&mut got).await.unwrap();
        stream.write_all(&got).await.unwrap();
    });
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let said = Shell::new(&world).run(&["tunnel", INSTANCE], &bytes).await;
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    assert!(said.stdout == bytes);
    echo.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_host_key_is_refused_by_the_next_run_with_both_fingerprints() {
    let (first, second) = (Sshd::start(), Sshd::start());
    let world = World::of(&first).await;
    let shell = Shell::new(&world);
    let to = format!("{}@{INSTANCE}", first.user.name);
    shell.run(&["ssh", &to, "--", "true"], b"").await.good();
    let spec = InstanceSpec { backend: Backend::Forward(second.addr), ..InstanceSpec::default() };
    world.emulator.add_instance(spec).await.unwrap();
    let said = shell.run(&["ssh", &to, "--", "true"], b"").await;
    assert_eq!(said.code, Some(76), "{said:?}");
    for sshd in [&first, &second] {
        let file = shell.file("key.pub");
        std::fs::write(&file, sshd.host_key()).unwrap();
        let told = run_ok("ssh-keygen", ["-lf", file.to_str().unwrap()]);
        let fingerprint = told.split(' ').nth(1).unwrap();
        assert!(said.stderr.contains(fingerprint), "{fingerprint} is not in {}", said.stderr);
    }
    second.is_idle();
    // Nobody who has not seen the instance is let in by --host-key strict.
    let stranger = Shell::new(&world);
    let said = stranger.run(&["ssh", "--host-key", "strict", &to, "--", "true"], b"").await;
    assert_eq!(said.code, Some(76), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_exit_code_its_stage_and_a_way_out() {
    let deny = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2-instance-connect:OpenTunnel", "Resource": "*"}]}"#;
    let denied: Policy = serde_json::from_str(deny).unwrap();
    type Spoil = Box<dyn Fn(&World, &mut Shell)>;
    let cases: Vec<(i32, &str, Spoil)> = vec![
        (66, "instance", Box::new(|world, _| assert!(world.emulator.remove_instance(&world.instance())))),
        (
            69,
            "instance",
            Box::new(|world, _| {
                world.emulator.set_instance_state(&world.instance(), InstanceState::Stopped);
            }),
        ),
        (
            77,
            "upgrade",
            Box::new(move |world, _| {
                let key = world.emulator.access().access_key_id().to_owned();
                world.emulator.set_policies(&key, vec![denied.clone()]);
            }),
        ),
        (
            76,
            "tls",
            Box::new(|world, _| {
                world.emulator.faults().update(|faults| faults.certificate = Certificate::WrongName);
            }),
        ),
        (
            69,
            "upgrade",
            Box::new(|world, _| {
                world.emulator.faults().update(|faults| faults.upgrade = Some(UpgradeFault::DropBefore));
            }),
        ),
        (78, "credentials", Box::new(|_, shell| shell.unset("AWS_SECRET_ACCESS_KEY"))),
        (78, "instance", Box::new(|world, _| world.emulator.clock().advance(Duration::from_secs(600)))),
        (69, "tcp", Box::new(|_, shell| shell.export("HTTPS_PROXY", "http://127.0.0.1:9"))),
    ];
    for (code, stage, spoil) in cases {
        let world = World::builtin().await;
        let mut shell = Shell::new(&world);
        spoil(&world, &mut shell);
        let said = shell.run(&["ssh", INSTANCE, "--", "true"], b"").await;
        assert_eq!(said.code, Some(code), "{stage}: {}", said.stderr);
        assert!(said.stdout.is_empty());
        let mut lines = said.stderr.lines();
        assert!(lines.next().unwrap().starts_with(&format!("eice: {stage}: ")), "{}", said.stderr);
        assert!(said.stderr.contains("hint: "), "{}", said.stderr);
        assert_eq!(world.emulator.open_tunnels(), 0);
    }
}

/// Each call to AWS that is never answered ends in time and by its name.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_hangs_is_given_up_at_its_deadline() {
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
        let said = Shell::new(&world).run(&["ssh", INSTANCE, "--", "true"], b"").await;
        assert_eq!(said.code, Some(75), "{action}: {}", said.stderr);
        assert!(said.stderr.starts_with(&format!("eice: {stage}: ")), "{action}: {}", said.stderr);
        assert!(said.stderr.contains(action) && said.stderr.contains("hint: "), "{action}: {}", said.stderr);
        eventually("its tunnel is closed", || (world.emulator.open_tunnels() == 0).then_some(()));
    };
    tokio::join!(hangs(calls[0]), hangs(calls[1]), hangs(calls[2]));
}

/// What `eice emulator --json` prints is all that another program needs.
#[tokio::test(flavor = "multi_thread")]
async fn the_emulators_line_is_all_that_a_client_needs() {
    let mut emulator = Program::start(&["emulator", "--listen", "127.0.0.1:0", "--json"], &[]);
    let ready = &emulator.ready;
    let urls = ready.endpoint_urls.clone().unwrap();
    assert!([&urls.ec2, &urls.ec2_instance_connect, &urls.sts].iter().all(|url| **url == ready.url));
    let credentials = ready.credentials.clone().unwrap();
    assert_eq!(ready.env["AWS_ACCESS_KEY_ID"], credentials.access_key_id);
    assert_eq!(Some(&ready.env["AWS_REGION"]), ready.region.as_ref());
    let ca_file = ready.ca_file.clone().unwrap();
    assert_eq!(ready.env["AWS_CA_BUNDLE"], ca_file);
    let shell = Shell { home: tempfile::tempdir().unwrap(), env: ready.env.clone().into_iter().collect() };
    let instance = ready.instance.clone().unwrap();
    let said = shell.run(&["ssh", &instance, "--", "echo here"], b"").await;
    assert_eq!(said.good(), "here\n");
    assert_eq!(tokio::task::block_in_place(|| emulator.part.terminate()).code(), Some(0));
    assert!(!std::path::Path::new(&ca_file).exists(), "nothing is left behind");
}

/// Once built, a demo is there in less than a second, page included.
#[tokio::test(flavor = "multi_thread")]
async fn a_demo_is_ready_within_a_second_of_its_start() {
    let env = [("DOCKER_HOST", "unix:///nonexistent".to_owned())];
    // The best of a few: other tests are at work beside this one.
    let best = (0..5).map(|_| {
        let began = std::time::Instant::now();
        let demo = Program::start(&["demo", "--listen", "127.0.0.1:0", "--json"], &env);
        let took = began.elapsed();
        assert!(demo.ready.link.is_some());
        took
    });
    let best = tokio::task::block_in_place(|| best.min()).unwrap();
    assert!(best < Duration::from_secs(1), "{best:?}");
}
