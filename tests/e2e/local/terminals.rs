//! Terminals in containers.

use std::time::Duration;

use bytes::Bytes;
use eice::docker::quote;
use eice::files::workspace::{File, WRITE_TIMEOUT, write_all};
use eice::model::{Exit, Fault, Shell, Signal, Size, Stage, StageEvent, TerminalEvent, TerminalRequest};
use tokio::time::timeout;

use super::{ENV, host, open, target, workspace};
use crate::lab::{Container, Docker, Process, eventually, open_terminal, unique};

/// How long something immediate may take.
const SOON: Duration = Duration::from_secs(20);

fn sized(cols: u16, rows: u16) -> TerminalRequest {
    TerminalRequest::new(Size::new(cols, rows).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn first_output_has_size() {
    // The first output of each shell.
    for (image, first) in [(Docker::SH, "\r\n\r\nBusyBox v"), (Docker::BASH, "bash-")] {
        let container = workspace(image);
        let host = host(&container).await;
        let mut shell = open_terminal(&*host, &sized(132, 43)).await;
        let prompt = shell.until("# ").await;
        let prompt = prompt.trim_start_matches("\u{1b}[?2004h");
        assert!(prompt.starts_with(first), "{image}: {prompt:?}");
        shell.line("stty size; echo cols=$COLUMNS.").await;
        shell.until("43 132\r\n").await;
        shell.control().resize(Size::new(100, 30).unwrap()).await.unwrap();
        shell.line("stty size").await;
        shell.until("30 100\r\n").await;
        shell.line("exit 7").await;
        assert_eq!(shell.finish().await.2, Exit::Code(7), "{image}");
        container.is_idle();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_has_workspace_and_term() {
    let container = workspace(Docker::SH);
    let (_host, mut shell) = open(&container).await;
    shell.line("whoami; echo ws=$MOLECULE_WS_ID term=$TERM lang=$LANG; tty").await;
    let said = shell.until("/dev/pts/").await;
    assert!(said.contains("root\r\n"), "{said}");
    assert!(said.contains(&format!("ws={} term=xterm-256color lang=C.UTF-8\r\n", ENV.1)), "{said}");
    shell.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_is_preferred_over_sh() {
    for (image, name) in [(Docker::SH, "sh"), (Docker::BASH, "bash")] {
        let container = workspace(image);
        let (_host, mut shell) = open(&container).await;
        shell.line("echo shell=$0 bash=${BASH_VERSION:+yes}.").await;
        let said = shell.until(if name == "bash" { "bash=yes." } else { "bash=." }).await;
        assert!(said.contains(&format!("shell={name} ")), "{image}: {said}");
        shell.close().await;
    }
}

/// Builds an image with a program and without a shell; returns its name.
fn shell_less() -> &'static str {
    const NAME: &str = "eice-test:no-shell";
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("app")).unwrap();
    std::fs::copy(crate::lab::program("busybox"), root.path().join("app/busybox")).unwrap();
    Docker::shared().import_root(root.path(), NAME, &["CMD [\"/app/busybox\", \"sleep\", \"1000\"]"]);
    NAME
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_shell_is_reported() {
    let (docker, name) = (Docker::shared(), unique("ws-"));
    let label = format!("{}=true", super::LABEL);
    docker.run(["run", "-d", "--network=none", "--label", &label, "--name", &name, shell_less()]);
    let host = super::try_host(&[&name]).await.unwrap();
    let began = std::time::Instant::now();
    for request in [TerminalRequest::default(), TerminalRequest::command("true")] {
        let error = host.open_terminal(&request, &|_: StageEvent| {}).await.unwrap_err();
        assert_eq!((error.stage(), error.fault()), (Stage::Shell, Fault::Remote), "{}", error.chain());
        assert_eq!(error.message(), format!("container {name} cannot start a shell"));
        assert_eq!(error.hint(), Some("the image needs a POSIX sh"));
    }
    assert!(began.elapsed() < SOON, "no timeout was needed");
    docker.run(["rm", "-f", &name]);

    let container = workspace(Docker::SH);
    for code in [126, 127] {
        let (_host, mut shell) = open(&container).await;
        shell.line(&format!("exit {code}")).await;
        assert_eq!(shell.finish().await.2, Exit::Code(code));
        let host = super::host(&container).await;
        let command = open_terminal(&*host, &TerminalRequest::command(format!("exit {code}"))).await;
        assert_eq!(command.finish().await.2, Exit::Code(code));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn command_has_streams_and_stdin_eof() {
    let container = workspace(Docker::SH);
    let host = host(&container).await;
    let line = "echo words >&2; cat; echo \"end $1$0\"; exit 3";
    let mut command = open_terminal(&*host, &TerminalRequest::command(line)).await;
    let every: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    command.bytes(every.clone()).await;
    command.end_input().await;
    let (stdout, stderr, exit) = command.finish().await;
    assert!(stdout.starts_with(&every) && &stdout[every.len()..] == b"end sh\n", "{} bytes", stdout.len());
    assert_eq!((&stderr[..], exit), (&b"words\n"[..], Exit::Code(3)));
    // Without any input.
    let mut quiet = open_terminal(&*host, &TerminalRequest::command("cat | wc -c")).await;
    quiet.end_input().await;
    assert_eq!(quiet.finish().await.0, b"0\n");
    host.close().await;
    container.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn frame_like_output_passes() {
    let container = workspace(Docker::SH);
    let (_host, mut shell) = open(&container).await;
    for octal in ["\\001\\000\\000\\000\\377\\377\\377\\377", "\\002", "\\000"] {
        // A pause, so that the text starts a new chunk.
        shell.line(&format!("sleep 0.2; printf '{octal}'; sleep 0.2; echo be''hind")).await;
        let said = shell.until("behind").await;
        let byte = char::from(octal.as_bytes()[3] - b'0');
        assert!(said.contains(byte), "{octal}: {said:?}");
    }
    shell.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn detach_keys_are_input() {
    let container = workspace(Docker::SH);
    // One write for each key, as when typing: the engine detects its detach keys only in single writes.
    let (_host, mut shell) = open(&container).await;
    shell
        .line("stty raw -echo; echo re''ady; head -c 4 | tr '\\020\\021' 'PQ'; stty sane; echo be''hind")
        .await;
    shell.until("ready").await;
    for _ in 0..2 {
        for key in [b"\x10", b"\x11"] {
            shell.bytes(&key[..]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let said = shell.until("behind").await;
    assert!(said.contains("PQPQ"), "{said:?}");
    shell.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_reaches_live_process_only() {
    let container = workspace(Docker::SH);
    let host = host(&container).await;
    let line = "trap 'echo heard; exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    let mut command = open_terminal(&*host, &TerminalRequest::command(line)).await;
    command.until("ready").await;
    command.control().signal(Signal::Term).await.unwrap();
    command.until("heard").await;
    let mut killed = open_terminal(&*host, &TerminalRequest::command("echo ready; exec sleep 5000")).await;
    killed.until("ready").await;
    killed.control().signal(Signal::Kill).await.unwrap();
    assert_eq!(killed.finish().await.2, Exit::Code(137));

    let mut terminal =
        host.open_terminal(&TerminalRequest::command("exit 0"), &|_: StageEvent| {}).await.unwrap();
    while let Some(event) = terminal.output.next().await {
        event.unwrap();
    }
    let error = terminal.control.signal(Signal::Hup).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    let error = terminal.input.write(Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_reader_causes_backpressure() {
    const MIB: usize = 48;
    let container = workspace(Docker::SH);
    let host = host(&container).await;
    let line = format!("dd if=/dev/zero bs=1M count={MIB} 2>/dev/null; touch /tmp/done; echo");
    let mut command = open_terminal(&*host, &TerminalRequest::command(line)).await;
    eventually("it runs", || written(&container));
    let mut before = None;
    // The writer is blocked once its total stops growing.
    eventually("the writer is blocked", || {
        let written = written(&container)?;
        std::thread::sleep(Duration::from_millis(300));
        before.replace(written).filter(|before| *before == written && written > 0)
    });
    assert!(before.unwrap() < (MIB as u64) << 20, "it is not done");
    command.end_input().await;
    let mut count = 0;
    assert_eq!(command.drain(|data| count += data.len()).await, Exit::Code(0));
    assert_eq!(count, (MIB << 20) + 1);
}

/// Returns how many bytes `dd` in `container` has written; busybox runs it under the name of the shell.
fn written(container: &Container) -> Option<u64> {
    let of = |process: Process| {
        let io = std::fs::read_to_string(format!("/proc/{}/io", process.pid)).ok()?;
        io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok())
    };
    container.processes().into_iter().filter_map(of).max()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_paste_arrives_intact() {
    let container = workspace(Docker::SH);
    let (_host, mut shell) = open(&container).await;
    shell.line("stty raw -echo; echo re''ady; head -c 1048576 | sha256sum; stty sane; echo be''hind").await;
    shell.until("ready").await;
    let paste: Vec<u8> = (0..1 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for piece in paste.chunks(32 << 10) {
        shell.bytes(piece.to_vec()).await;
    }
    let said = shell.until("behind").await;
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&paste);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(said.contains(&digest), "{said}");
    shell.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_written() {
    let container = workspace(Docker::SH);
    let host = host(&container).await;
    let large = Bytes::from(vec![7; 3 << 20]);
    let files = [
        File::new("a/config.yaml".parse().unwrap(), "k: 'v'\n"),
        File::new("it's.md".parse().unwrap(), ""),
        File::new("large".parse().unwrap(), large.clone()),
    ];
    for result in write_all(&*host, "/opt/configs", &files, WRITE_TIMEOUT).await {
        result.unwrap();
    }
    let path = quote("/opt/configs/it's.md").unwrap();
    let line = format!("cat /opt/configs/a/config.yaml {path}; wc -c </opt/configs/large; stat -c %a {path}");
    let mut command = open_terminal(&*host, &TerminalRequest::command(line)).await;
    command.end_input().await;
    let (stdout, _, exit) = command.finish().await;
    assert_eq!(String::from_utf8_lossy(&stdout), format!("k: 'v'\n{}\n644\n", large.len()));
    assert_eq!(exit, Exit::Code(0));
    host.close().await;
    container.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_requests_are_refused() {
    let container = workspace(Docker::SH);
    let host = host(&container).await;
    let inner = eice::model::ContainerShell::new(container.name.parse().unwrap());
    let mut request = TerminalRequest::default();
    request.shell = Some(Shell::Container(inner));
    let error = host.open_terminal(&request, &|_: StageEvent| {}).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Usage);
    let mut target = target(&[&container.name]);
    target.env[0].1 = "\0".into();
    let host = super::engine().connect(&target, &|_: StageEvent| {}).await.unwrap();
    let error = host.open_terminal(&TerminalRequest::default(), &|_: StageEvent| {}).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Usage);
    assert_eq!(container.processes(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn container_stop_ends_terminals() {
    let container = workspace(Docker::SH);
    let host = host(&container).await;
    let request = TerminalRequest::default();
    let mut terminal = host.open_terminal(&request, &|_: StageEvent| {}).await.unwrap();
    assert_eq!(host.ids(), eice::model::HostIds::default());
    assert!(host.round_trip().await.unwrap() < SOON);
    Docker::shared().run(["kill", &container.name]);
    let end = timeout(SOON, async {
        loop {
            match terminal.output.next().await {
                Some(Ok(TerminalEvent::Output(_))) => {}
                other => break other,
            }
        }
    });
    // Engines differ: some still report the status of an exec in a stopped container.
    match end.await.expect("it ends") {
        Some(Err(error)) => assert_eq!(error.to_string(), "the workspace's container has stopped"),
        Some(Ok(TerminalEvent::Exit(exit))) => assert_eq!(exit, Exit::Code(137)),
        other => panic!("{other:?}"),
    }
    timeout(SOON, terminal.control.close()).await.expect("closing waits for nothing that is gone");
    let error = host.open_terminal(&request, &|_: StageEvent| {}).await.unwrap_err();
    assert_eq!(error.fault(), Fault::State, "{}", error.chain());
}
