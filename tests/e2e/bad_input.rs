//! What goes wrong on the way to a shell: each fault ends within its deadline, names the stage and what to do, and
//! leaves nothing behind. All through the real client stack, against the emulator's knobs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use eice::connect;
use eice::emulator::{
    AcceptFault, Backend, Certificate, CloseAfter, CloseForm, Config, EndpointState, Faults, FrameFault,
    InstanceSpec, InstanceState, Policy, UpgradeFault,
};
use eice::terminal::{
    Connect, ContainerShell, Fault, InstanceTarget, Shell, Stage, StageError, StageEvent, Target,
    TerminalRequest,
};
use eice::{aws, tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::lab::{Container, Docker, Sshd, World, console};

/// How long a fault that is answered may take to be told.
const AT_ONCE: Duration = Duration::from_secs(8);

/// The stages' deadlines where a test waits for one.
const SHORT: Duration = Duration::from_millis(700);

/// How often each fault is met: what one attempt leaves behind, they leave so many times.
const ATTEMPTS: usize = 5;

/// The pools of connections to the APIs, each of which begins a task of its own when it first has one to spare.
const POOLS: usize = 2;

/// Sets every deadline that a silent peer can use up to [`SHORT`].
fn impatient(_: &mut aws::Config, tunnel: &mut tunnel::Config, connect: &mut connect::Config) {
    tunnel.timeouts.tcp = SHORT;
    tunnel.timeouts.proxy = SHORT;
    tunnel.timeouts.tls = SHORT;
    tunnel.timeouts.upgrade = SHORT;
    connect.ssh.timeouts.banner = SHORT;
    connect.ssh.timeouts.key_exchange = SHORT;
}

/// What a test expects of a failure.
struct Expected<'a> {
    stage: Stage,
    fault: Fault,
    /// Words that the message, its causes or the hint must have.
    words: &'a [&'a str],
}

/// Connects, which must fail as expected, and then again: the second attempt finds what the first left behind.
#[track_caller]
fn refused<'a>(
    world: &'a World,
    connector: &'a dyn Connect,
    target: &'a InstanceTarget,
    expected: Expected<'a>,
) -> impl Future<Output = StageError> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let target = Target::from(target.clone());
        let mut before = None;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let began = Instant::now();
            let attempt = connector.connect(&target, &|_: StageEvent| {});
            let error = match tokio::time::timeout(Duration::from_secs(60), attempt).await {
                Ok(Err(error)) => error,
                Ok(Ok(host)) => panic!("{caller}: it succeeded: {host:?}"),
                Err(_) => panic!("{caller}: no end after 60 s"),
            };
            let took = began.elapsed();
            let text = format!("{error}; {}; hint: {:?}", error.chain(), error.hint());
            assert!(took < AT_ONCE, "{caller}: it took {took:?}: {text}");
            assert_eq!((error.stage(), error.fault()), (expected.stage, expected.fault), "{caller}: {text}");
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{caller}: nothing to do: {text}");
            for word in expected.words {
                assert!(text.contains(word), "{caller}: no {word:?} in: {text}");
            }
            let access = world.emulator.access();
            for secret in [access.secret_access_key(), "X-Amz-Signature="] {
                assert!(!text.contains(secret), "{caller}: a secret in: {text}");
            }
            last = Some(error);
            // The first attempt fills caches and pools.
            if before.is_none() {
                before = Some(world.settled().await);
            }
        }
        before.unwrap().is_restored_but_for(POOLS).await;
        assert_eq!(world.emulator.open_tunnels(), 0, "{caller}");
        last.unwrap()
    }
}

async fn fails(world: &World, stage: Stage, fault: Fault, words: &[&str]) -> StageError {
    let target = world.target();
    refused(world, &*world.connector, &target, Expected { stage, fault, words }).await
}

async fn fails_with(faults: Faults, stage: Stage, fault: Fault, words: &[&str]) {
    let world = World::builtin().await;
    world.emulator.faults().set(faults);
    let connector = world.client(impatient);
    let target = world.target();
    refused(&world, &connector, &target, Expected { stage, fault, words }).await;
    // Nothing stays broken.
    world.emulator.faults().clear();
    world.host(&world.target()).await.close().await;
    world.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_instance_id() {
    let world = World::builtin().await;
    let target = InstanceTarget::new("i-0fffffffffffffff0".parse().unwrap());
    let expected =
        Expected { stage: Stage::Instance, fault: Fault::NotFound, words: &["i-0fffffffffffffff0"] };
    refused(&world, &*world.connector, &target, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_instance() {
    let world = World::builtin().await;
    world.emulator.set_instance_state(&world.instance(), InstanceState::Stopped);
    fails(&world, Stage::Instance, Fault::State, &["stopped", "start"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_endpoint() {
    let world = World::builtin().await;
    assert!(world.emulator.remove_endpoint(&"eice-0123456789abcdef0".parse().unwrap()));
    fails(&world, Stage::Endpoint, Fault::NotFound, &["vpc-0e1f2a3b4c5d60001"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_still_being_created() {
    let world = World::builtin().await;
    let endpoint = "eice-0123456789abcdef0".parse().unwrap();
    assert!(world.emulator.set_endpoint_state(&endpoint, EndpointState::CreateInProgress));
    fails(&world, Stage::Endpoint, Fault::State, &["still being created"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_permission_for_each_of_the_four_calls() {
    let calls = [
        ("ec2:DescribeInstances", Stage::Instance),
        ("ec2:DescribeInstanceConnectEndpoints", Stage::Endpoint),
        ("ec2-instance-connect:SendSSHPublicKey", Stage::KeyPush),
        ("ec2-instance-connect:OpenTunnel", Stage::Upgrade),
    ];
    for (action, stage) in calls {
        let world = World::builtin().await;
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": [
                {{"Effect": "Allow", "Action": "*", "Resource": "*"}},
                {{"Effect": "Deny", "Action": "{action}", "Resource": "*"}}]}}"#
        );
        let policy: Policy = serde_json::from_str(&policy).unwrap();
        let key = world.emulator.access().access_key_id().to_owned();
        assert!(world.emulator.set_policies(&key, vec![policy]));
        fails(&world, stage, Fault::Denied, &[action]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_down() {
    let instances = vec![InstanceSpec { backend: Backend::Closed, ..InstanceSpec::default() }];
    let world = World::with(Config { instances, ..Config::default() }).await;
    fails(&world, Stage::Banner, Fault::Network, &["22"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_sshd_that_was_stopped() {
    let mut sshd = Sshd::start();
    let world = World::of(&sshd).await;
    world.host(&world.target()).await.close().await;
    sshd.is_idle();
    sshd.stop();
    fails(&world, Stage::Banner, Fault::Network, &["sshd", "22"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_that_says_nothing() {
    let instances = vec![InstanceSpec { backend: Backend::Silent, ..InstanceSpec::default() }];
    let world = World::with(Config { instances, ..Config::default() }).await;
    let connector = world.client(impatient);
    let target = world.target();
    let expected = Expected { stage: Stage::Banner, fault: Fault::Timeout, words: &["22"] };
    refused(&world, &connector, &target, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key() {
    // Its sshd never hears of the key: no EC2 Instance Connect on the instance.
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    sshd.takes_keys_from("http://127.0.0.1:9");
    fails(&world, Stage::Authentication, Fault::Authentication, &["ec2-instance-connect"]).await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key() {
    let sshd = Sshd::start();
    let instances = vec![InstanceSpec { backend: Backend::Forward(sshd.addr), ..InstanceSpec::default() }];
    // Every key has expired by the time that it is asked for.
    let world = World::with(Config { instances, key_lifetime_secs: 0, ..Config::default() }).await;
    sshd.takes_keys_from(&world.emulator.access().metadata_url(&world.instance()));
    let mut target = world.target();
    target.os_user = sshd.user.name.parse().unwrap();
    let expected = Expected { stage: Stage::Authentication, fault: Fault::Authentication, words: &["60"] };
    refused(&world, &*world.connector, &target, expected).await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_not_there() {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
    let world = World::of(&sshd).await;
    let mut target = world.target();
    target.shell = Shell::Container(ContainerShell::new("no-such-container".parse().unwrap()));
    let host = world.host(&target).await;
    let opened = host.open_terminal(&TerminalRequest::default(), &|_: StageEvent| {}).await;
    let error = opened.expect_err("no such container");
    let text = format!("{error}; {}; hint: {:?}", error.chain(), error.hint());
    assert_eq!((error.stage(), error.fault()), (Stage::Shell, Fault::NotFound), "{text}");
    assert!(text.contains("no-such-container"), "{text}");
    assert!(error.hint().is_some(), "{text}");
    drop(host);
    sshd.is_idle();
    world.settled().await;
    // The same with a container that is there, so that only its name was at fault.
    let container = Container::start(Docker::SH, "A=b");
    target.shell = Shell::Container(ContainerShell::new(container.name.parse().unwrap()));
    let host = world.host(&target).await;
    let mut shell = console(&*host, &TerminalRequest::default()).await;
    shell.line("echo he''re").await;
    shell.until("here").await;
    shell.close().await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_ten_minutes_off() {
    for ahead in [false, true] {
        let world = World::builtin().await;
        let by = Duration::from_secs(600);
        if ahead {
            world.emulator.clock().rewind(by);
        } else {
            world.emulator.clock().advance(by);
        }
        fails(&world, Stage::Instance, Fault::Credentials, &["clock"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_trusted() {
    for (certificate, word) in [
        (Certificate::WrongName, "name"),
        (Certificate::Expired, "expired"),
        (Certificate::UnknownCa, "certificate"),
    ] {
        let faults = Faults { certificate, ..Faults::default() };
        fails_with(faults, Stage::Tls, Fault::Tls, &[word]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses() {
    let world = World::builtin().await;
    for answer in [
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
    ] {
        let (proxy, _task) = proxy(answer).await;
        let connector = world.client(|_, tunnel, _| tunnel.proxy = through(proxy));
        let target = world.target();
        let status = &answer[9..12];
        let expected = Expected { stage: Stage::Proxy, fault: Fault::Proxy, words: &[status] };
        refused(&world, &connector, &target, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_there_or_says_nothing() {
    let world = World::builtin().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let connector = world.client(|_, tunnel, _| tunnel.proxy = through(gone));
    let target = world.target();
    let expected = Expected { stage: Stage::Tcp, fault: Fault::Network, words: &["proxy"] };
    refused(&world, &connector, &target, expected).await;

    let (silent, _task) = proxy("").await;
    let connector = world.client(|aws, tunnel, connect| {
        impatient(aws, tunnel, connect);
        tunnel.proxy = through(silent);
    });
    let expected = Expected { stage: Stage::Proxy, fault: Fault::Timeout, words: &["proxy"] };
    refused(&world, &connector, &target, expected).await;
}

/// A proxy that reads a request and says `answer`; nothing when that is empty.
async fn proxy(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        // One at a time, in this one task: the census counts tasks.
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            if answer.is_empty() {
                let _ = stream.read(&mut head).await;
            } else {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    (addr, serving)
}

fn through(proxy: SocketAddr) -> tunnel::ProxyConfig {
    let env = std::collections::BTreeMap::from([("HTTPS_PROXY", format!("http://{proxy}"))]);
    tunnel::ProxyConfig::from_lookup(|name| env.get(name).cloned()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_drops_in_mid_handshake() {
    let accept = |fault| Faults { accept: Some(fault), ..Faults::default() };
    let upgrade = |fault| Faults { upgrade: Some(fault), ..Faults::default() };
    fails_with(accept(AcceptFault::Drop), Stage::Tls, Fault::Network, &[]).await;
    fails_with(accept(AcceptFault::Hang), Stage::Tls, Fault::Timeout, &[]).await;
    fails_with(upgrade(UpgradeFault::DropBefore), Stage::Upgrade, Fault::Network, &[]).await;
    fails_with(upgrade(UpgradeFault::DropMid), Stage::Upgrade, Fault::Network, &[]).await;
    fails_with(upgrade(UpgradeFault::Hang), Stage::Upgrade, Fault::Timeout, &[]).await;
    fails_with(upgrade(UpgradeFault::DropAfter), Stage::Banner, Fault::Network, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_is_none() {
    for fault in [
        UpgradeFault::WrongAccept,
        UpgradeFault::NoAccept,
        UpgradeFault::Extension,
        UpgradeFault::Subprotocol,
    ] {
        let faults = Faults { upgrade: Some(fault), ..Faults::default() };
        fails_with(faults, Stage::Upgrade, Fault::Protocol, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_frames() {
    for frame in [
        FrameFault::Text,
        FrameFault::Garbage,
        FrameFault::Masked,
        FrameFault::Reserved,
        FrameFault::Continuation,
    ] {
        let faults = Faults { frame: Some(frame), ..Faults::default() };
        fails_with(faults, Stage::Banner, Fault::Protocol, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_frame_and_half_of_one() {
    let faults = Faults { frame: Some(FrameFault::Huge), ..Faults::default() };
    fails_with(faults, Stage::Banner, Fault::Protocol, &[]).await;
    let faults = Faults { frame: Some(FrameFault::HalfWritten), ..Faults::default() };
    fails_with(faults, Stage::Banner, Fault::Network, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_but_lawful_frames_are_no_fault() {
    for frame in [FrameFault::Empty, FrameFault::Pong, FrameFault::Fragmented] {
        let world = World::builtin().await;
        world.emulator.faults().update(|faults| {
            faults.frame = Some(frame);
            faults.ping_every_ms = Some(20);
        });
        let host = world.host(&world.target()).await;
        let mut shell = console(&*host, &TerminalRequest::default()).await;
        shell.line("echo $((6*7))").await;
        shell.until("42").await;
        shell.close().await;
        host.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_ends_in_the_key_exchange() {
    for form in [CloseForm::Empty, CloseForm::normal(), CloseForm::target_failed()] {
        let faults = Faults { close_after: Some(CloseAfter { bytes: 300, form }), ..Faults::default() };
        fails_with(faults, Stage::KeyExchange, Fault::Network, &[]).await;
    }
}

/// A TCP connection that is cut while there is something unread loses what was under way: how far SSH came is chance.
#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_is_cut_in_the_key_exchange() {
    for form in [CloseForm::Fin, CloseForm::Rst] {
        let world = World::builtin().await;
        let before = world.census().await;
        let close_after = Some(CloseAfter { bytes: 300, form });
        world.emulator.faults().set(Faults { close_after, ..Faults::default() });
        let error = world.try_host(&world.target()).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Network, "{error}: {}", error.chain());
        assert!(matches!(error.stage(), Stage::Banner | Stage::KeyExchange), "{error}");
        assert!(error.hint().is_some(), "{error}");
        before.is_restored().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_used_up() {
    let faults = Faults { quota: Some(0), ..Faults::default() };
    fails_with(faults, Stage::Upgrade, Fault::Quota, &["20"]).await;
}
