//! `eice ssh` and `eice tunnel` as a person and a script have them: the program itself, on a terminal of its own or on
//! pipes, to a real sshd or to the emulator's faults.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};

use eice::emulator::{Backend, Config, Faults, InstanceSpec, InstanceState, UpgradeFault};
use rustix::process::Signal;

use crate::lab::{EICE, INSTANCE, Program, Sshd, Tty, World, eice, eventually};

/// A user of `eice` with an instance that runs a real sshd.
struct Lab {
    world: World,
    home: tempfile::TempDir,
    destination: String,
    sshd: Sshd,
}

impl Lab {
    async fn start() -> Self {
        let sshd = Sshd::start();
        let world = World::of(&sshd).await;
        let destination = format!("{}@{INSTANCE}", sshd.user.name);
        Self { world, home: tempfile::tempdir().unwrap(), destination, sshd }
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        self.world.emulator.access().env()
    }

    /// `eice ssh` in a terminal, with a shell that answers.
    #[track_caller]
    fn shell(&self) -> Tty {
        let mut tty = Tty::start(&["ssh", &self.destination], &self.env(), self.home.path(), None);
        tty.types("echo ready-$((40+2))\r");
        tty.until("ready-42");
        tty
    }

    /// `eice ARGS` on pipes, to its end.
    async fn run(&self, args: &[&str], stdin: Vec<u8>) -> Output {
        run(&self.env(), self.home.path(), args, stdin).await
    }

    async fn is_idle(&self) {
        self.sshd.is_idle();
        eventually("the tunnel is closed", || (self.world.emulator.open_tunnels() == 0).then_some(()));
    }
}

async fn run(env: &[(&str, String)], home: &std::path::Path, args: &[&str], stdin: Vec<u8>) -> Output {
    let mut command = eice(home, env);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = move || {
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // One that ends before it has read all is an answer as well.
        let feed = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
        let output = child.wait_with_output().unwrap();
        feed.join().unwrap();
        output
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// A line for the shell that answers `followed-2` once its terminal has `size`: what is typed may overtake the news.
fn size_becomes(size: &str) -> String {
    format!("\runtil [ \"$(stty size)\" = '{size}' ]; do :; done; echo followed-$((1+1))\r")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_has_the_size_of_the_window_and_ctrl_c_is_the_far_sides() {
    let lab = Lab::start().await;
    let mut tty = lab.shell();
    assert!(!tty.is_restored(), "it is raw while the shell runs");
    assert!(tty.said().contains("\r\u{1b}[2K"), "progress is shown and erased: {:?}", tty.said());
    tty.types("stty size\r");
    tty.until("30 100");
    tty.types(&size_becomes("41 132"));
    tty.resize(41, 132);
    tty.until("followed-2");
    tty.types("sleep 1000; echo ended-$((1+2))\r");
    tty.until("echo ended");
    eventually("sleep runs", || lab.sshd.serving().iter().any(|p| p.command == "sleep 1000").then_some(()));
    tty.types("\u{3}");
    eventually("sleep is gone", || {
        (!lab.sshd.serving().iter().any(|p| p.command == "sleep 1000")).then_some(())
    });
    tty.types("\recho still-$((2+2))\r");
    tty.until("still-4");
    tty.types("exit 7\r");
    assert_eq!(tty.ends().code(), Some(7));
    lab.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_is_as_before_after_every_way_out() {
    let lab = Lab::start().await;
    let mut tty = lab.shell();
    tty.types("\r~.");
    assert_eq!(tty.ends().code(), Some(255), "as ssh does");
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut tty = lab.shell();
        tty.process.signal(signal);
        assert_eq!(tty.ends().code(), Some(status), "{signal:?}");
    }
    // The instance's sshd ends the connection.
    let mut tty = lab.shell();
    for process in lab.sshd.serving() {
        process.signal(Signal::KILL);
    }
    let status = tty.ends().code();
    assert!(status.is_some_and(|status| status != 0), "{status:?}: {}", tty.said());
    // An error before there is a shell.
    lab.world.emulator.set_instance_state(&lab.world.instance(), InstanceState::Stopped);
    let mut tty = Tty::start(&["ssh", &lab.destination], &lab.env(), lab.home.path(), None);
    assert_eq!(tty.ends().code(), Some(69));
    tty.until("hint: ");
    lab.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tilde_ctrl_z_stops_the_program_and_gives_the_terminal_back_meanwhile() {
    let lab = Lab::start().await;
    let mut tty = lab.shell();
    tty.types("\r~\u{1a}");
    eventually("it is stopped", || tty.is_stopped().then_some(()));
    assert!(tty.is_restored());
    tty.resize(33, 77);
    tty.process.signal(Signal::CONT);
    eventually("it is raw again", || (!tty.is_restored()).then_some(()));
    tty.types(&size_becomes("33 77"));
    tty.until("followed-2");
    tty.types("exit\r");
    assert_eq!(tty.ends().code(), Some(0));
    lab.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commands_status_or_signal_is_the_programs() {
    let lab = Lab::start().await;
    for (command, status) in [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        let output = lab.run(&["ssh", &lab.destination, "--", command], Vec::new()).await;
        assert_eq!(output.status.code(), Some(status), "{command}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "no progress where there is no terminal");
    }
    let output =
        lab.run(&["ssh", &lab.destination, "--", "echo out; echo err >&2; cat"], b"in".to_vec()).await;
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\nin".into(), "err\n".into()));
    lab.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_every_byte_passes_both_ways() {
    let lab = Lab::start().await;
    let mut seed = 1_u64;
    let data: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    })
    .take(8 << 20)
    .collect();
    let output = lab.run(&["ssh", &lab.destination, "--", "cat"], data.clone()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout == data, "{} of {} bytes came back", output.stdout.len(), data.len());
    lab.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_asked_for_as_ssh_does() {
    let lab = Lab::start().await;
    let command = "test -t 0 && echo terminal || { cat; echo pipe; }";
    // No terminal here: -t alone gives way, so that the end of input is told.
    let output = lab.run(&["ssh", "-t", &lab.destination, "--", command], Vec::new()).await;
    assert_eq!(text(&output.stdout), "pipe\n");
    assert!(text(&output.stderr).contains("-tt insists"), "{}", text(&output.stderr));
    let output = lab.run(&["ssh", "-tt", &lab.destination, "--", command], Vec::new()).await;
    assert_eq!(text(&output.stdout), "terminal\r\n");
    let mut tty = Tty::start(
        &["ssh", "-t", &lab.destination, "--", command],
        &lab.env(),
        lab.home.path(),
        Some(&lab.home.path().join("stderr")),
    );
    tty.until("terminal");
    assert_eq!(tty.ends().code(), Some(0));
    assert_eq!(fs::read_to_string(lab.home.path().join("stderr")).unwrap(), "", "progress is for terminals");
    lab.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_has_its_exit_code_and_says_what_to_do() {
    let world = World::builtin().await;
    let home = tempfile::tempdir().unwrap();
    let env = world.emulator.access().env();
    let without = |name: &str| env.iter().filter(|(key, _)| *key != name).cloned().collect::<Vec<_>>();
    let mut changed = without("AWS_CA_BUNDLE");
    changed.push(("AWS_CA_BUNDLE", "/does/not/exist".into()));
    let mut keyless = without("AWS_SECRET_ACCESS_KEY");
    keyless.retain(|(key, _)| *key != "AWS_ACCESS_KEY_ID");
    let mut proxied = env.clone();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    proxied.extend([("HTTPS_PROXY", format!("http://{dead}")), ("NO_PROXY", "example.com".into())]);
    let untrusting = without("AWS_CA_BUNDLE");
    let mut rootless = untrusting.clone();
    let empty = tempfile::tempdir().unwrap();
    rootless.push(("SSL_CERT_DIR", empty.path().display().to_string()));
    let command = ["ssh", INSTANCE, "--", "true"];
    let unknown = ["ssh", "i-0fffffffffffffff0", "--", "true"];
    for (what, env, args, code) in [
        ("nothing is wrong", &env, command, 0),
        ("no such instance", &env, unknown, 66),
        ("no such bundle", &changed, command, 78),
        ("no credentials", &keyless, command, 78),
        ("a proxy that is not there", &proxied, command, 69),
        ("no authority at all", &rootless, command, 78),
        ("an authority that is not trusted", &untrusting, command, 76),
    ] {
        let output = run(env, home.path(), &args, Vec::new()).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{what}: {said}");
        assert_eq!(said.contains("  hint: "), code != 0, "{what}: {said}");
    }
    let full = Faults { quota: Some(0), ..Faults::default() };
    let dropped = Faults { upgrade: Some(UpgradeFault::DropBefore), ..Faults::default() };
    for (what, faults, code) in [("quota", full, 69), ("dropped", dropped, 69)] {
        world.emulator.faults().set(faults);
        let output = run(&env, home.path(), &command, Vec::new()).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{what}: {said}");
        assert!(said.contains("  hint: "), "{what}: {said}");
    }
    world.emulator.faults().clear();
    let key = world.emulator.access().access_key_id().to_owned();
    let none: eice::emulator::Policy = serde_json::from_str(r#"{"Statement":[]}"#).unwrap();
    assert!(world.emulator.set_policies(&key, vec![none]));
    let output = run(&env, home.path(), &command, Vec::new()).await;
    assert_eq!(output.status.code(), Some(77), "{}", text(&output.stderr));
    let output = run(&env, home.path(), &["ssh", "--nonsense"], Vec::new()).await;
    assert_eq!(output.status.code(), Some(64));
}

/// An instance on whose port 22 `serve` answers each connection.
async fn world_with(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let backend = Backend::Forward(listener.local_addr().unwrap());
    let serve = std::sync::Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = std::sync::Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    let instances = vec![InstanceSpec { backend, ..InstanceSpec::default() }];
    World::with(Config { instances, ..Config::default() }).await
}

fn echo(mut stream: TcpStream) {
    let mut copy = stream.try_clone().unwrap();
    let _ = std::io::copy(&mut stream, &mut copy);
}

#[track_caller]
fn talks(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_carries_several_connections_and_no_more_than_it_may() {
    let world = world_with(echo).await;
    let args = [
        "tunnel",
        INSTANCE,
        "--listen",
        "127.0.0.1:0",
        "--max-connections",
        "3",
        "--half-close-timeout",
        "1",
        "--json",
    ];
    let mut tunnel = Program::start(&args, &world.emulator.access().env());
    let address = tunnel.addr();
    let open: Vec<TcpStream> = (0..3).map(|_| talks(address)).collect();
    assert_eq!(world.emulator.open_tunnels(), 3);
    let mut fourth = TcpStream::connect(address).unwrap();
    assert_eq!(fourth.read(&mut [0]).unwrap_or(0), 0, "the fourth is closed");
    eventually("it says why", || tunnel.stderr().contains("--max-connections").then_some(()));
    // The far side is not told that nothing more comes, so that each has its room until the half-close timeout.
    drop(open);
    world.emulator.faults().update(|faults| faults.quota = Some(0));
    eventually("one that fails says why", || {
        let _ = TcpStream::connect(address).unwrap().read(&mut [0]);
        let said = tunnel.stderr();
        (said.contains("failed\neice: upgrade: ") && said.contains("  hint: ")).then_some(())
    });
    assert!(tunnel.part.is_running(), "the listener goes on");
    world.emulator.faults().clear();
    drop(talks(address));
    assert_eq!(tunnel.part.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_bytes_arrive_after_stdin_has_ended_and_then_the_program_ends() {
    // Answers when it has heard all of the question, with a megabyte, and closes.
    let world = world_with(|mut stream| {
        let mut question = [0; 8];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(&vec![b'x'; 1 << 20]).unwrap();
        stream.write_all(b"the end").unwrap();
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let env = world.emulator.access().env();
    let output = run(&env, home.path(), &["tunnel", INSTANCE], b"question".to_vec()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(output.stdout.len(), (1 << 20) + 7);
    assert!(output.stdout.ends_with(b"the end"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_stdin_does_not_spin() {
    let world = world_with(echo).await;
    let home = tempfile::tempdir().unwrap();
    let mut command: Command = eice(home.path(), &world.emulator.access().env());
    command.args(["tunnel", INSTANCE]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    stdin.write_all(b"hello").unwrap();
    stdout.read_exact(&mut [0; 5]).unwrap();
    drop(stdin);
    // Processor time in ticks of 10 ms, over a second in which nothing happens: what is looked for has no event.
    let used = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let fields: Vec<u64> =
            stat.rsplit_once(") ").unwrap().1.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        fields[11] + fields[12]
    };
    let before = used();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(used() - before < 20, "it is busy waiting: {} ticks", used() - before);
    drop(stdout);
    let status = eventually("it ends with its stdout", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{EICE}");
}
