//! `eice exec` as a script has it: the program itself, to a real sshd and into a container of a real Docker engine.

use std::io::{Read, Write};
use std::process::{Child, Output, Stdio};

use rustix::process::Signal;

use crate::lab::{Container, Docker, INSTANCE, Process, Sshd, Station, Tty, eice, eventually, text};

/// `eice ARGS` on pipes, running.
fn spawn(station: &Station, args: &[&str]) -> Child {
    let mut command = eice(station.here(), &station.env());
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    Process::find(child.id()).unwrap().signal(signal);
}

/// Bytes that no compression and no line discipline leaves as they are.
fn noise(len: usize) -> Vec<u8> {
    let mut seed = 1_u64;
    std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    })
    .take(len)
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn args_are_verbatim_and_shell_is_opt_in() {
    let station = Station::start().await;
    let odd = ["a b", "", "$HOME", "it's", "\"q\"", "*", "new\nline", "-n", "\\", "\u{e9}"];
    let mut args = vec!["exec", &station.destination, "--", "printf", "%s|"];
    args.extend(odd);
    let output = station.run(&args, "").await;
    assert_eq!(text(&output.stdout), odd.map(|word| format!("{word}|")).concat(), "{}", text(&output.stderr));
    let line = ["exec", &station.destination, "--shell", "--", "echo", "$((40+2))", "|", "tr", "4", "5"];
    assert_eq!(text(&station.run(&line, "").await.stdout), "52\n");
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_streams_are_the_commands() {
    let station = Station::start().await;
    for (script, status) in [("exit 0", 0), ("exit 69", 69), ("kill -KILL $$", 137), ("exit 255", 255)] {
        let output = station.run(&["exec", &station.destination, "--", "sh", "-c", script], "").await;
        assert_eq!(output.status.code(), Some(status), "{script}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
    }
    let script = "echo out; echo err >&2; cat";
    let output = station.run(&["exec", &station.destination, "--", "sh", "-c", script], "in").await;
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\nin".into(), "err\n".into()));
    let output = station.run(&["exec", &station.destination, "--", "no-such-program"], "").await;
    assert_eq!(output.status.code(), Some(127));
    // Without input the command sees the end of it at once, whatever ours is.
    let mut child = spawn(&station, &["exec", "-n", &station.destination, "--", "cat"]);
    let open = child.stdin.take();
    assert_eq!(eventually("it ends", || child.try_wait().unwrap()).code(), Some(0));
    drop(open);
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_lossless_with_backpressure() {
    let station = Station::start().await;
    let data = noise(64 << 20);
    let output = station.run(&["exec", &station.destination, "--", "cat"], data.clone()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout == data, "{} of {} bytes came back", output.stdout.len(), data.len());

    // An endless writer whose reader takes nothing: it must stop writing, and we must not grow.
    let count = "dd if=/dev/zero bs=1048576 status=none";
    let mut child = spawn(&station, &["exec", &station.destination, "--", "sh", "-c", count]);
    let writer = eventually("it writes", || {
        station.sshd.serving().into_iter().find(|process| process.command.starts_with("dd "))
    });
    let written = || {
        let io = std::fs::read_to_string(format!("/proc/{}/io", writer.pid)).unwrap();
        io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse::<u64>().ok()).unwrap()
    };
    let mut last = u64::MAX;
    let mut same = 0;
    eventually("it is held up", || {
        let now = written();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same > 50).then_some(())
    });
    assert!(last < 64 << 20, "{last} bytes are on their way, and nobody reads");
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut vec![0; 32 << 20]).unwrap();
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(141), "as a filter that SIGPIPE ended");
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn pty_needs_a_flag() {
    let station = Station::start().await;
    let script = "test -t 0 && stty size || echo pipe";
    let mut tty = Tty::start(
        &["exec", &station.destination, "--", "sh", "-c", script],
        &station.env(),
        station.here(),
        None,
    );
    tty.until("pipe");
    assert_eq!(tty.ends().code(), Some(0));
    let args = ["exec", "-t", &station.destination, "--", "sh", "-c", script];
    let mut tty = Tty::start(&args, &station.env(), station.here(), None);
    tty.until("30 100");
    assert_eq!(tty.ends().code(), Some(0));
    let output = station.run(&args, "").await;
    assert_eq!(text(&output.stdout), "pipe\n", "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("-tt insists"));
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn timeout_ends_command_with_json_result() {
    let station = Station::start().await;
    let file = station.here().join("result.json");
    let result = || -> serde_json::Value {
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "one line: {text}");
        serde_json::from_str(&text).unwrap()
    };
    let head = ["exec", "--json", "result.json", "--timeout", "2", &station.destination, "--"];
    let with = |command: &[&'static str]| [&head, command].concat();
    let output = station.run(&with(&["sleep", "1000"]), "").await;
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("within 2 s"), "{}", text(&output.stderr));
    let told = result();
    assert_eq!((&told["status"], &told["exit"]), (&75.into(), &serde_json::Value::Null), "{told}");
    station.is_idle();

    let output = station.run(&with(&["sh", "-c", "exit 75"]), "").await;
    assert_eq!(output.status.code(), Some(75));
    let told = result();
    assert_eq!((&told["exit"], &told["error"]), (&75.into(), &serde_json::Value::Null), "{told}");
    assert_eq!(told["instance"], INSTANCE);
    for id in ["key_push_request_id", "tunnel_request_id"] {
        assert!(told[id].as_str().is_some_and(|id| !id.is_empty()), "{id}: {told}");
    }
    let args = ["exec", "--json", "/dev/stderr", &station.destination, "--", "sh", "-c", "echo words >&2"];
    let mut command = eice(station.here(), &station.env());
    let log = station.here().join("log");
    std::fs::write(&log, "before\n").unwrap();
    let kept = std::fs::File::options().append(true).open(&log).unwrap();
    assert!(command.args(args).stdin(Stdio::null()).stderr(kept).status().unwrap().success());
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.starts_with("before\nwords\n{"), "what is in it stays: {log}");
    station.world.emulator.faults().update(|faults| faults.quota = Some(0));
    let output = station.run(&with(&["true"]), "").await;
    assert_eq!(output.status.code(), Some(69));
    assert!(result()["error"]["hint"].is_string(), "{}", result());
    station.is_idle();
}

/// So many commands, so many of them at a time: an endpoint carries no more.
const COMMANDS: usize = 200;
const AT_A_TIME: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_commands_leave_nothing() {
    let station = Station::start().await;
    let before = station.world.census().await;
    let turn = tokio::sync::Semaphore::new(AT_A_TIME);
    let one = async |number: usize| {
        let _turn = turn.acquire().await.unwrap();
        let input = noise(1000 + number);
        let script = format!("cat; echo err-{number} >&2; exit {}", number % 100);
        let args = ["exec", &station.destination, "--", "sh", "-c", &script];
        let Output { status, stdout, stderr } = station.run(&args, input.clone()).await;
        assert!(stdout == input, "{number}: {} of {} bytes", stdout.len(), input.len());
        assert_eq!(text(&stderr), format!("err-{number}\n"));
        assert_eq!(status.code(), Some(i32::try_from(number % 100).unwrap()), "{number}");
    };
    futures_util::future::join_all((0..COMMANDS).map(one)).await;
    station.is_idle();
    before.is_restored().await;
}

/// An instance whose user may run the containers of a private engine, and one of them.
async fn with_container(image: &str) -> (Station, Container) {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
    let container = Container::start(image, "WORKSPACE=7");
    (Station::of(sshd).await, container)
}

#[tokio::test(flavor = "multi_thread")]
async fn container_args_streams_and_status_match() {
    let (station, container) = with_container(Docker::SH).await;
    let exec = |tail: &[&'static str]| {
        let head = ["exec", &station.destination, "--container", &container.name, "--"];
        head.into_iter().chain(tail.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
    };
    let run = async |tail: &[&'static str], input: Vec<u8>| {
        let args = exec(tail);
        station.run(&args.iter().map(String::as_str).collect::<Vec<_>>(), input).await
    };
    let output =
        run(&["sh", "-c", "printf '%s|' \"$@\"", "sh", "a b", "", "$HOME", "it's"], Vec::new()).await;
    assert_eq!(text(&output.stdout), "a b||$HOME|it's|", "{}: {}", output.status, text(&output.stderr));
    let output = run(&["sh", "-c", "echo $WORKSPACE; echo err >&2; cat; exit 7"], b"in".to_vec()).await;
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("7\nin".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(7));
    let data = noise(4 << 20);
    let output = run(&["cat"], data.clone()).await;
    assert!(output.stdout == data, "{} bytes: {}", output.stdout.len(), text(&output.stderr));
    // What the command says and exits with is its own, even in the words of an engine.
    let output = run(&["sh", "-c", "echo 'Error: No such container: x' >&2; exit 1"], Vec::new()).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "Error: No such container: x\n");
    let output = run(&["no-such-program"], Vec::new()).await;
    assert_eq!(output.status.code(), Some(127));
    let args = ["exec", &station.destination, "--container", "no-such-container", "--", "true"];
    let output = station.run(&args, "").await;
    assert_eq!(output.status.code(), Some(66), "{}", text(&output.stderr));
    container.is_idle();
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_container_command_leaves_nothing() {
    let (station, container) = with_container(Docker::SH).await;
    let jobs = "sleep 5001 & (trap '' HUP; exec sleep 5002) & setsid sleep 5003 & echo started; cat";
    for how in [Signal::TERM, Signal::KILL, Signal::INT] {
        let args = ["exec", &station.destination, "--container", &container.name, "--", "sh", "-c", jobs];
        let mut child = spawn(&station, &args);
        let mut said = [0; 8];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"started\n");
        assert!(container.processes().len() >= 4, "{:?}", container.processes());
        signal(&child, how);
        child.wait().unwrap();
        container.is_idle();
        station.is_idle();
    }
    // The end of the input ends a command that waits for it, and what it left behind in the background.
    let args = ["exec", &station.destination, "--container", &container.name, "--", "sh", "-c", jobs];
    let mut child = spawn(&station, &args);
    child.stdin.take().unwrap().write_all(b"x").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "started\nx");
    container.is_idle();
    station.is_idle();
}
