//! However a terminal ends, it leaves no process in the container and no task here.

use std::sync::Arc;
use std::time::Duration;

use eice::model::{Host, StageEvent, TerminalRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{JOBS, host, open, wait_for_jobs, workspace};
use crate::lab::{Container, Docker, TerminalClient, eventually, open_terminal};

/// Starts the jobs of [`JOBS`] from a shell in a container of `image`, lets `end` end the shell, and asserts that no
/// process and no task is left.
async fn leaves_nothing_after(image: &str, end: impl AsyncFnOnce(&Container, Box<dyn Host>, TerminalClient)) {
    let container = workspace(image);
    let before = Handle::current().metrics().num_alive_tasks();
    let (host, mut shell) = open(&container).await;
    shell.line(JOBS).await;
    shell.until("started").await;
    wait_for_jobs(&container);
    end(&container, host, shell).await;
    container.is_idle();
    eventually("no task is left", || (Handle::current().metrics().num_alive_tasks() <= before).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_terminal_leaves_nothing() {
    leaves_nothing_after(Docker::BASH, async |container, _host, shell| {
        shell.close().await;
        // Closing waits for the remote cleanup.
        assert_eq!(container.processes(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_terminal_leaves_nothing() {
    leaves_nothing_after(Docker::SH, async |_, _host, shell| drop(shell)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_host_leaves_nothing() {
    leaves_nothing_after(Docker::SH, async |container, host, _shell| {
        host.close().await;
        assert_eq!(container.processes(), []);
    })
    .await;
    leaves_nothing_after(Docker::SH, async |container, host, _shell| {
        drop(host);
        container.is_idle();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_exit_ends_jobs() {
    leaves_nothing_after(Docker::BASH, async |_, _host, mut shell| {
        shell.line("exit").await;
        shell.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_processes_survive() {
    let container = workspace(Docker::SH);
    let (_host, mut stays) = open(&container).await;
    let (_other, goes) = open(&container).await;
    goes.close().await;
    stays.line("echo st''ays").await;
    stays.until("stays").await;
    stays.close().await;
    container.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_attempt_leaves_nothing() {
    let container = workspace(Docker::SH);
    let host = host(&container).await;
    let before = Handle::current().metrics().num_alive_tasks();
    for pty in [true, false] {
        for after in [0, 2, 5, 10, 20, 40, 60, 80, 100, 150] {
            let mut request = TerminalRequest::default();
            request.pty = pty;
            let opening = host.open_terminal(&request, &|_: StageEvent| {});
            // Abandoned at the timeout, unless it has finished before.
            let _ = timeout(Duration::from_millis(after), opening).await;
        }
    }
    eventually("what was started is over", || {
        (Handle::current().metrics().num_alive_tasks() <= before).then_some(())
    });
    container.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn late_abandoned_shell_ends() {
    let container = workspace(Docker::SH);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let came = Arc::new(Notify::new());
    let slow = tokio::spawn(slow_engine(UnixListener::bind(&socket).unwrap(), Arc::clone(&came)));
    let engine = super::engine_at(&format!("unix://{}", socket.display()));
    let host = engine.connect(&super::target(&[&container.name]), &|_: StageEvent| {}).await.unwrap();
    let request = TerminalRequest::default();
    // The watcher has started by then, and the shell has not.
    let opening = timeout(LATE / 2, host.open_terminal(&request, &|_: StageEvent| {}));
    assert!(opening.await.is_err(), "it takes as long as the shell");
    timeout(LATE * 5, came.notified()).await.expect("the shell comes all the same");
    container.is_idle();
    slow.abort();
}

/// How late a slow engine starts a shell: later than a watcher stops looking for it.
const LATE: Duration = Duration::from_secs(3);

/// Proxies the tests' engine at `listener`, but starts an exec with a PTY only after [`LATE`], even if the client has
/// gone, and notifies `came` once it runs.
async fn slow_engine(listener: UnixListener, came: Arc<Notify>) {
    let engine = Docker::shared().host();
    let engine = engine.strip_prefix("unix://").unwrap();
    loop {
        let (mut from, mut to) = listener.accept().await.unwrap().0.into_split();
        let (mut answers, mut asks) = UnixStream::connect(engine).await.unwrap().into_split();
        let came = Arc::clone(&came);
        tokio::spawn(async move {
            let mut piece = [0; 4096];
            let length = from.read(&mut piece).await.unwrap();
            let is_late = String::from_utf8_lossy(&piece[..length]).contains("\"Detach\":false,\"Tty\":true");
            if is_late {
                tokio::time::sleep(LATE).await;
            }
            asks.write_all(&piece[..length]).await.unwrap();
            tokio::spawn(async move { tokio::io::copy(&mut from, &mut asks).await });
            let mut said = Vec::new();
            while let Ok(length @ 1..) = answers.read(&mut piece).await {
                said.extend_from_slice(&piece[..length]);
                let head = said.windows(4).position(|window| window == b"\r\n\r\n");
                if is_late && head.is_some_and(|head| said.len() > head + 4) {
                    came.notify_one();
                }
                let _ = to.write_all(&piece[..length]).await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_without_watcher_is_refused() {
    // Its `sh` refuses to run a watcher, and fails when the shell already runs.
    let container = workspace(Docker::SH);
    let sh = "#!/bin/busybox sh\ncase $2 in 'echo; while'*) sleep 0.5; exit 9;; esac\nexec /bin/busybox sh \"$@\"\n";
    let put = "mkdir -p /usr/local/bin; printf %s \"$1\" >/usr/local/bin/sh; chmod 755 /usr/local/bin/sh";
    Docker::shared().run(["exec", &container.name, "sh", "-c", put, "sh", sh]);
    let host = host(&container).await;
    let request = TerminalRequest::default();
    let error = host.open_terminal(&request, &|_: StageEvent| {}).await.unwrap_err();
    assert!(error.chain().ends_with("it exited 9"), "{}", error.chain());
    container.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_shells_have_own_watchers() {
    let container = workspace(Docker::SH);
    let host = host(&container).await;
    let opened = futures_util::future::join_all((0..4).map(|n| {
        let host = &host;
        async move {
            let mut shell = open_terminal(&**host, &TerminalRequest::default()).await;
            shell.line(&format!("echo nu''mber={n}.; sleep 500{n} &")).await;
            shell.until(&format!("number={n}.")).await;
            shell
        }
    }))
    .await;
    eventually("they run", || {
        let sleeps =
            container.processes().into_iter().filter(|process| process.command.starts_with("sleep 500"));
        (sleeps.count() == 4).then_some(())
    });
    for (n, shell) in opened.into_iter().enumerate() {
        shell.close().await;
        let left = container.processes();
        let sleeps: Vec<_> = left.iter().filter(|process| process.command.starts_with("sleep 500")).collect();
        assert_eq!(sleeps.len(), 3 - n, "{sleeps:?}");
    }
    container.is_idle();
}
