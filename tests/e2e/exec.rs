//! `eice exec` as scripts use it, to a real sshd and into a container of a real Docker engine.

use std::process::{Child, Output, Stdio};

use rustix::process::Signal;

use crate::lab::{
    self, ClientMachine, Container, Docker, INSTANCE, Process, Sshd, Tty, eice, eventually, read_exact, text,
    wait_for_exit,
};

/// Starts `eice ARGS` on pipes.
fn spawn(client: &ClientMachine, args: &[&str]) -> Child {
    let mut command = eice(client.here(), &client.env());
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    Process::find(child.id()).unwrap().signal(signal);
}

/// Bytes that any compression or line discipline would change.
fn noise(len: usize) -> Vec<u8> {
    lab::noise(1, len)
}

#[tokio::test(flavor = "multi_thread")]
async fn args_are_verbatim_and_shell_is_opt_in() {
    let client = ClientMachine::start().await;
    let odd = ["a b", "", "$HOME", "it's", "\"q\"", "*", "new\nline", "-n", "\\", "\u{e9}"];
    let mut args = vec!["exec", &client.destination, "--", "printf", "%s|"];
    args.extend(odd);
    let output = client.run(&args, "").await;
    assert_eq!(text(&output.stdout), odd.map(|word| format!("{word}|")).concat(), "{}", text(&output.stderr));
    let line = ["exec", &client.destination, "--shell", "--", "echo", "$((40+2))", "|", "tr", "4", "5"];
    assert_eq!(text(&client.run(&line, "").await.stdout), "52\n");
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_streams_are_the_commands() {
    let client = ClientMachine::start().await;
    for (script, status) in [("exit 0", 0), ("exit 69", 69), ("kill -KILL $$", 137), ("exit 255", 255)] {
        let output = client.run(&["exec", &client.destination, "--", "sh", "-c", script], "").await;
        assert_eq!(output.status.code(), Some(status), "{script}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
    }
    let script = "echo out; echo err >&2; cat";
    let output = client.run(&["exec", &client.destination, "--", "sh", "-c", script], "in").await;
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\nin".into(), "err\n".into()));
    let output = client.run(&["exec", &client.destination, "--", "no-such-program"], "").await;
    assert_eq!(output.status.code(), Some(127));
    // With -n the command's stdin is empty, regardless of the local one.
    let mut child = spawn(&client, &["exec", "-n", &client.destination, "--", "cat"]);
    let open = child.stdin.take();
    assert_eq!(eventually("it ends", || child.try_wait().unwrap()).code(), Some(0));
    drop(open);
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_lossless_with_backpressure() {
    let client = ClientMachine::start().await;
    let data = noise(64 << 20);
    let output = client.run(&["exec", &client.destination, "--", "cat"], data.clone()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout == data, "{} of {} bytes came back", output.stdout.len(), data.len());

    // An endless writer whose reader does not read: it must be blocked, and the program must not buffer more.
    let count = "dd if=/dev/zero bs=1048576 status=none";
    let mut child = spawn(&client, &["exec", &client.destination, "--", "sh", "-c", count]);
    let writer = eventually("it writes", || {
        client.sshd.serving().into_iter().find(|process| process.command.starts_with("dd "))
    });
    let written = || {
        let io = std::fs::read_to_string(format!("/proc/{}/io", writer.pid)).unwrap();
        io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse::<u64>().ok()).unwrap()
    };
    let mut last = u64::MAX;
    let mut same = 0;
    eventually("the writer is blocked", || {
        let now = written();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same > 50).then_some(())
    });
    assert!(last < 64 << 20, "{last} bytes are buffered");
    let mut stdout = child.stdout.take().unwrap();
    read_exact(&mut stdout, &mut vec![0; 32 << 20]);
    drop(stdout);
    assert_eq!(wait_for_exit(&mut child).code(), Some(141), "as a filter that SIGPIPE ended");
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn pty_needs_a_flag() {
    let client = ClientMachine::start().await;
    let script = "test -t 0 && stty size || echo pipe";
    let mut tty = Tty::start(
        &["exec", &client.destination, "--", "sh", "-c", script],
        &client.env(),
        client.here(),
        None,
    );
    tty.until("pipe");
    assert_eq!(tty.ends().code(), Some(0));
    let args = ["exec", "-t", &client.destination, "--", "sh", "-c", script];
    let mut tty = Tty::start(&args, &client.env(), client.here(), None);
    tty.until("30 100");
    assert_eq!(tty.ends().code(), Some(0));
    let output = client.run(&args, "").await;
    assert_eq!(text(&output.stdout), "pipe\n", "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("-tt insists"));
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn timeout_ends_command_with_json_result() {
    let client = ClientMachine::start().await;
    let file = client.here().join("result.json");
    let result = || -> serde_json::Value {
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "one line: {text}");
        serde_json::from_str(&text).unwrap()
    };
    let head = ["exec", "--json", "result.json", "--timeout", "2", &client.destination, "--"];
    let with = |command: &[&'static str]| [&head, command].concat();
    let output = client.run(&with(&["sleep", "1000"]), "").await;
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("within 2 s"), "{}", text(&output.stderr));
    let report = result();
    assert_eq!((&report["status"], &report["exit"]), (&75.into(), &serde_json::Value::Null), "{report}");
    client.is_idle();

    let output = client.run(&with(&["sh", "-c", "exit 75"]), "").await;
    assert_eq!(output.status.code(), Some(75));
    let report = result();
    assert_eq!((&report["exit"], &report["error"]), (&75.into(), &serde_json::Value::Null), "{report}");
    assert_eq!(report["instance"], INSTANCE);
    for id in ["key_push_request_id", "tunnel_request_id"] {
        assert!(report[id].as_str().is_some_and(|id| !id.is_empty()), "{id}: {report}");
    }
    let args = ["exec", "--json", "/dev/stderr", &client.destination, "--", "sh", "-c", "echo words >&2"];
    let mut command = eice(client.here(), &client.env());
    let log = client.here().join("log");
    std::fs::write(&log, "before\n").unwrap();
    let kept = std::fs::File::options().append(true).open(&log).unwrap();
    assert!(command.args(args).stdin(Stdio::null()).stderr(kept).status().unwrap().success());
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.starts_with("before\nwords\n{"), "what is in it stays: {log}");
    client.world.emulator.faults().update(|faults| faults.quota = Some(0));
    let output = client.run(&with(&["true"]), "").await;
    assert_eq!(output.status.code(), Some(69));
    assert!(result()["error"]["hint"].is_string(), "{}", result());
    client.is_idle();
}

/// Commands in total, and concurrently: an endpoint carries 20 tunnels.
const COMMANDS: usize = 200;
const AT_A_TIME: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_commands_leave_nothing() {
    let client = ClientMachine::start().await;
    let before = client.world.leak_check().await;
    let turn = tokio::sync::Semaphore::new(AT_A_TIME);
    let one = async |number: usize| {
        let _turn = turn.acquire().await.unwrap();
        let input = noise(1000 + number);
        let script = format!("cat; echo err-{number} >&2; exit {}", number % 100);
        let args = ["exec", &client.destination, "--", "sh", "-c", &script];
        let Output { status, stdout, stderr } = client.run(&args, input.clone()).await;
        assert!(stdout == input, "{number}: {} of {} bytes", stdout.len(), input.len());
        assert_eq!(text(&stderr), format!("err-{number}\n"));
        assert_eq!(status.code(), Some(i32::try_from(number % 100).unwrap()), "{number}");
    };
    futures_util::future::join_all((0..COMMANDS).map(one)).await;
    client.is_idle();
    before.assert_no_leaks().await;
}

/// Returns an instance whose user has access to a private engine, and a container of it.
async fn with_container(image: &str) -> (ClientMachine, Container) {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
    let container = Container::start(image, "WORKSPACE=7");
    (ClientMachine::of(sshd).await, container)
}

#[tokio::test(flavor = "multi_thread")]
async fn container_args_streams_and_status_match() {
    let (client, container) = with_container(Docker::SH).await;
    let exec = |tail: &[&'static str]| {
        let head = ["exec", &client.destination, "--container", &container.name, "--"];
        head.into_iter().chain(tail.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
    };
    let run = async |tail: &[&'static str], input: Vec<u8>| {
        let args = exec(tail);
        client.run(&args.iter().map(String::as_str).collect::<Vec<_>>(), input).await
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
    // Output and status are the command's, even if they look like an engine's error.
    let output = run(&["sh", "-c", "echo 'Error: No such container: x' >&2; exit 1"], Vec::new()).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "Error: No such container: x\n");
    let output = run(&["no-such-program"], Vec::new()).await;
    assert_eq!(output.status.code(), Some(127));
    let args = ["exec", &client.destination, "--container", "no-such-container", "--", "true"];
    let output = client.run(&args, "").await;
    assert_eq!(output.status.code(), Some(66), "{}", text(&output.stderr));
    container.is_idle();
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_container_command_leaves_nothing() {
    let (client, container) = with_container(Docker::SH).await;
    let jobs = "sleep 5001 & (trap '' HUP; exec sleep 5002) & setsid sleep 5003 & echo started; cat";
    for how in [Signal::TERM, Signal::KILL, Signal::INT] {
        let args = ["exec", &client.destination, "--container", &container.name, "--", "sh", "-c", jobs];
        let mut child = spawn(&client, &args);
        let mut said = [0; 8];
        read_exact(child.stdout.as_mut().unwrap(), &mut said);
        assert_eq!(&said, b"started\n");
        assert!(container.processes().len() >= 4, "{:?}", container.processes());
        signal(&child, how);
        wait_for_exit(&mut child);
        container.is_idle();
        client.is_idle();
    }
    // EOF ends a command that reads stdin, and its background jobs.
    let args = ["exec", &client.destination, "--container", &container.name, "--", "sh", "-c", jobs];
    let output = client.run(&args, "x").await;
    assert_eq!(text(&output.stdout), "started\nx");
    container.is_idle();
    client.is_idle();
}
