//! Bugs of aws-cli that the shim does not have, on stdin and stdout and while connecting. Those of the listener are in
//! `listener`.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eice::emulator::{AcceptFault, Certificate, UpgradeFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::listener::{accept, target};
use super::scene::{LONG, Scene, ShimOutput, finish, instance};
use crate::lab::{eventually, eventually_within, read_exact, wait_for_exit};

fn open_tunnel(scene: &Scene) -> Command {
    scene.aws(&["ec2-instance-connect", "open-tunnel", "--instance-id", instance()])
}

/// A process that is killed on drop.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Returns the processor time that it has used, from `/proc` (ticks of 10 ms).
    fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        let ticks = |n: usize| fields[n].parse::<u64>().unwrap();
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Returns how often its threads have slept voluntarily, and so woken up.
    fn wake_ups(&self) -> u64 {
        let of_thread = |task: std::fs::DirEntry| -> Option<u64> {
            let status = std::fs::read_to_string(task.path().join("status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse().ok()
        };
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        tasks.filter_map(|task| of_thread(task.unwrap())).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// aws-cli spins and sends thousands of empty frames a second, forever (aws-cli#9344).
#[tokio::test(flavor = "multi_thread")]
async fn stdin_eof_is_cheap_and_lossless() {
    let (scene, listener) = target().await;
    let mut aws = Running::start(open_tunnel(&scene));
    aws.0.stdin.take().unwrap().write_all(b"question").unwrap();
    let mut far = accept(&listener).await;
    tokio::time::timeout(LONG, far.read_exact(&mut [0; 8])).await.unwrap().unwrap();
    // After stdin has ended, two seconds of answers, one byte at a time.
    let (before, began) = (aws.processor_time(), Instant::now());
    let mut stdout = aws.0.stdout.take().unwrap();
    while began.elapsed() < Duration::from_secs(2) {
        far.write_all(b"a").await.unwrap();
        tokio::task::block_in_place(|| read_exact(&mut stdout, &mut [0]));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let used = aws.processor_time() - before;
    assert!(used < Duration::from_millis(400), "{used:?} of processor time in {:?}", began.elapsed());
    // It ends when the remote side does.
    drop(far);
    let status = tokio::task::block_in_place(|| wait_for_exit(&mut aws.0));
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_stdout_ends_after_stdin_eof() {
    let (scene, listener) = target().await;
    let mut aws = Running::start(open_tunnel(&scene));
    let far = accept(&listener).await;
    drop((aws.0.stdin.take(), aws.0.stdout.take()));
    eventually("it ends", || aws.0.try_wait().unwrap());
    eventually("its tunnel goes with it", || (scene.world.emulator.open_tunnels() == 0).then_some(()));
    drop(far);
}

/// aws-cli waits forever when the server drops the connection in the handshake (aws-cli#8880).
#[tokio::test(flavor = "multi_thread")]
async fn handshake_drop_fails_at_once() {
    let scene = Scene::start().await;
    let faults = scene.world.emulator.faults();
    for n in 0..4 {
        faults.update(|faults| {
            (faults.accept, faults.upgrade) = match n {
                0 => (Some(AcceptFault::Drop), None),
                1 => (None, Some(UpgradeFault::DropBefore)),
                2 => (None, Some(UpgradeFault::DropMid)),
                _ => (None, Some(UpgradeFault::DropAfter)),
            };
        });
        let began = Instant::now();
        let ShimOutput { code, stderr, .. } = finish(open_tunnel(&scene), b"").await;
        assert_eq!(code, 255, "{n}: {stderr}");
        assert!(stderr.starts_with("\naws: [ERROR]: "), "{n}: {stderr}");
        assert!(began.elapsed() < Duration::from_secs(10), "{n}: {:?}", began.elapsed());
    }
}

/// aws-cli polls for input every 50 ms: up to 48 ms for a keystroke on loopback.
///
/// Measured by how often an idle tunnel wakes up, not by the time of an echo, which depends on the machine's load.
#[tokio::test(flavor = "multi_thread")]
async fn idle_tunnel_does_not_poll() {
    /// Polling every 50 ms would be 40 wake-ups, and twice that with two directions.
    const IDLE: Duration = Duration::from_secs(2);
    let (scene, listener) = target().await;
    let mut aws = Running::start(open_tunnel(&scene));
    let (mut stdin, mut stdout) = (aws.0.stdin.take().unwrap(), aws.0.stdout.take().unwrap());
    let mut far = accept(&listener).await;
    for _ in 0..3 {
        tokio::task::block_in_place(|| stdin.write_all(b"k").unwrap());
        tokio::time::timeout(LONG, far.read_exact(&mut [0])).await.unwrap().unwrap();
        far.write_all(b"k").await.unwrap();
        tokio::task::block_in_place(|| read_exact(&mut stdout, &mut [0]));
        let before = aws.wake_ups();
        tokio::time::sleep(IDLE).await;
        let woken = aws.wake_ups() - before;
        assert!(woken < 15, "it woke up {woken} times in {IDLE:?} without a keystroke");
    }
    drop((stdin, stdout));
}

/// aws-cli's tunnel trusts only the system's roots.
#[tokio::test(flavor = "multi_thread")]
async fn ca_bundle_applies_to_tunnel() {
    let scene = Scene::start().await;
    let ca = scene.world.emulator.access().ca_file().to_str().unwrap().to_owned();
    let mut bare = open_tunnel(&scene);
    bare.env_remove("AWS_CA_BUNDLE");
    let said = finish(bare, b"").await;
    assert_eq!(said.code, 255, "{said:?}");
    assert!(said.stderr.contains("not trusted"), "{}", said.stderr);
    let mut with_option =
        scene.aws(&["--ca-bundle", &ca, "ec2-instance-connect", "open-tunnel", "--instance-id", instance()]);
    with_option.env_remove("AWS_CA_BUNDLE");
    for command in [with_option, open_tunnel(&scene)] {
        let mut aws = Running::start(command);
        let mut banner = [0; 8];
        tokio::task::block_in_place(|| read_exact(aws.0.stdout.as_mut().unwrap(), &mut banner));
        assert_eq!(&banner, b"SSH-2.0-");
    }
    // A certificate for another name is refused nevertheless.
    scene.world.emulator.faults().update(|faults| faults.certificate = Certificate::WrongName);
    let said = finish(open_tunnel(&scene), b"").await;
    assert!(said.code == 255 && said.stderr.contains("for another name"), "{said:?}");
}

/// aws-cli prefers HTTP_PROXY to HTTPS_PROXY for its TLS tunnel, reads upper case only, does not support SOCKS and
/// matches the host as a substring of NO_PROXY.
#[tokio::test(flavor = "multi_thread")]
async fn proxy_variables_match_curl() {
    let scene = Scene::start().await;
    let name = scene.world.emulator.access().tunnel_authority();
    scene.world.emulator.edit_endpoint(&"eice-0123456789abcdef0".parse().unwrap(), |endpoint| {
        endpoint.dns_name = Some(name);
    });
    let proxy = format!("http://{}", scene.proxy.addr);
    let dead = "http://127.0.0.1:9";
    for (variables, is_used) in [
        (vec![("HTTPS_PROXY", proxy.as_str()), ("HTTP_PROXY", dead)], true),
        (vec![("https_proxy", proxy.as_str())], true),
        (vec![("ALL_PROXY", proxy.as_str())], true),
        (vec![("HTTP_PROXY", dead)], false),
        (vec![("HTTPS_PROXY", dead), ("NO_PROXY", ".localhost")], false),
        // aws-cli finds `localhost` in it and connects directly.
        (vec![("HTTPS_PROXY", proxy.as_str()), ("NO_PROXY", "127.0.0.1,notlocalhost.example")], true),
    ] {
        scene.proxy.take_targets();
        let mut command = open_tunnel(&scene);
        command.env_remove("HTTPS_PROXY").env("NO_PROXY", "127.0.0.1").envs(variables.clone());
        let mut aws = Running::start(command);
        let mut banner = [0; 8];
        tokio::task::block_in_place(|| read_exact(aws.0.stdout.as_mut().unwrap(), &mut banner));
        assert_eq!(scene.proxy.take_targets().len(), usize::from(is_used), "{variables:?}");
    }
}

/// Fixed in aws-cli 2.30.6 and 2.34.59; older versions found neither an updated endpoint nor an IPv6 address.
#[tokio::test(flavor = "multi_thread")]
async fn updated_endpoint_and_ipv6_work() {
    let ipv6_only = Scene::of("ipv6-only", super::scene::Aws::Ours).await;
    reaches_sshd(&ipv6_only);
    use eice::emulator::EndpointState as State;
    let scene = Scene::start().await;
    let endpoint = "eice-0123456789abcdef0".parse().unwrap();
    for state in [State::CreateComplete, State::UpdateInProgress, State::UpdateFailed, State::UpdateComplete]
    {
        assert!(scene.world.emulator.set_endpoint_state(&endpoint, state));
        reaches_sshd(&scene);
    }
    for state in [State::CreateInProgress, State::CreateFailed, State::DeleteInProgress, State::DeleteFailed]
    {
        scene.world.emulator.set_endpoint_state(&endpoint, state);
        let said = finish(open_tunnel(&scene), b"").await;
        assert_eq!(said.code, 252, "{state:?}: {said:?}");
    }
}

#[track_caller]
fn reaches_sshd(scene: &Scene) {
    let mut aws = Running::start(open_tunnel(scene));
    let mut banner = [0; 8];
    let read = tokio::task::block_in_place(|| aws.0.stdout.as_mut().unwrap().read_exact(&mut banner));
    assert!(read.is_ok() && &banner == b"SSH-2.0-", "{read:?}");
}

/// aws-cli has no timeout for connecting.
#[tokio::test(flavor = "multi_thread")]
async fn silent_server_times_out() {
    let scene = Scene::start().await;
    scene.world.emulator.faults().update(|faults| faults.upgrade = Some(UpgradeFault::Hang));
    let mut aws = Running::start(open_tunnel(&scene));
    let status = eventually_within(LONG, "it gives up", || aws.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(255));
}
