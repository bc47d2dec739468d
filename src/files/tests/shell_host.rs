//! A test host whose commands are run by a local shell.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use crate::model::{
    Exit, Fault, Host, HostIds, Input, NoopControl, Output, Shell, Stage, StageError, StageObserver,
    Terminal, TerminalEvent, TerminalRequest,
};

/// dash and bash with coreutils, and busybox with only itself.
pub(super) const SHELLS: [&str; 3] = ["/bin/dash", "/bin/bash", "/bin/busybox"];

/// The tools that the scripts need, and `sh`, as in docs/files.md.
const TOOLS: [&str; 16] = [
    "cat",
    "chmod",
    "dd",
    "find",
    "head",
    "mkdir",
    "mv",
    "rm",
    "sh",
    "sha256sum",
    "stat",
    "tail",
    "tee",
    "touch",
    "tr",
    "wc",
];

/// A host. Its commands see their own home folder and only the given tools.
pub(super) struct ShellHost {
    shell: &'static str,
    home: tempfile::TempDir,
    tools: tempfile::TempDir,
    /// A path that is replaced by another one in every command line.
    redirect: Option<(&'static str, PathBuf)>,
    shared: Arc<Shared>,
    max_channels: usize,
}

#[derive(Default)]
struct Shared {
    open: AtomicUsize,
    most: AtomicUsize,
    input_left: Mutex<Option<u64>>,
    output_left: Mutex<Option<u64>>,
    holds_output: AtomicBool,
    stderr_first: AtomicBool,
    processes: AtomicU64,
}

impl ShellHost {
    pub(super) fn new(shell: &'static str) -> Self {
        let tools = tempfile::tempdir().unwrap();
        for tool in TOOLS {
            let at = |folder: &str| Path::new(folder).join(tool);
            let found = if shell.ends_with("busybox") {
                PathBuf::from(shell)
            } else {
                [at("/usr/bin"), at("/bin")].into_iter().find(|path| path.exists()).unwrap()
            };
            let found = if tool == "sh" && !shell.ends_with("busybox") { shell.into() } else { found };
            symlink(found, tools.path().join(tool)).unwrap();
        }
        Self {
            shell,
            home: tempfile::tempdir().unwrap(),
            tools,
            redirect: None,
            shared: Arc::default(),
            max_channels: usize::MAX,
        }
    }

    pub(super) fn without_tool(shell: &'static str, tool: &str) -> Self {
        let host = Self::new(shell);
        fs::remove_file(host.tools.path().join(tool)).unwrap();
        host
    }

    /// Returns a host that runs at most `limit` commands at once.
    pub(super) fn with_max_channels(limit: usize) -> Self {
        Self { max_channels: limit, ..Self::new(SHELLS[0]) }
    }

    /// Returns a host whose folder `root` is redirected below its home.
    pub(super) fn with_root(root: &'static str) -> Self {
        let mut host = Self::new(SHELLS[0]);
        host.redirect = Some((root, host.home.path().join("root")));
        host
    }

    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(super) fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    /// Breaks the connection after this many bytes to the commands.
    pub(super) fn cut_input_after(&self, bytes: Option<u64>) {
        *self.shared.input_left.lock().unwrap() = bytes;
    }

    /// Breaks the connection after this many bytes from the commands.
    pub(super) fn cut_output_after(&self, bytes: Option<u64>) {
        *self.shared.output_left.lock().unwrap() = bytes;
    }

    /// Delivers no more output.
    pub(super) fn hold_output(&self) {
        self.shared.holds_output.store(true, Ordering::Relaxed);
    }

    /// Delivers all of stderr before stdout.
    pub(super) fn send_stderr_first(&self) {
        self.shared.stderr_first.store(true, Ordering::Relaxed);
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::Relaxed)
    }

    /// Waits until no command runs.
    pub(super) async fn wait_until_idle(&self) {
        let idle = async {
            while self.shared.processes.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), idle).await.expect("a command still runs");
    }
}

impl Host for ShellHost {
    fn open_terminal<'a>(
        &'a self,
        request: &'a TerminalRequest,
        _: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Terminal, StageError>> {
        Box::pin(async move {
            let shared = Arc::clone(&self.shared);
            let open = shared.open.fetch_add(1, Ordering::AcqRel) + 1;
            if open > self.max_channels {
                shared.open.fetch_sub(1, Ordering::AcqRel);
                return Err(StageError::new(Stage::Channel, Fault::Quota, "too many sessions"));
            }
            shared.most.fetch_max(open, Ordering::AcqRel);
            let Some(Shell::Command(line)) = &request.shell else { panic!("{request:?}") };
            let line = match &self.redirect {
                Some((root, actual)) => line.replace(root, actual.to_str().unwrap()),
                None => line.clone(),
            };
            let mut command = Command::new(self.shell);
            if self.shell.ends_with("busybox") {
                command.arg("sh");
            }
            command.args(["-c", &line]).current_dir(self.home.path());
            command.env_clear().env("PATH", self.tools.path()).env("HOME", self.home.path());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let input = Box::new(Stdin { pipe: child.stdin.take(), shared: Arc::clone(&shared) });
            shared.processes.fetch_add(1, Ordering::AcqRel);
            let (send, events) = mpsc::channel(16);
            tokio::spawn(run(child, send, Arc::clone(&shared)));
            Ok(Terminal {
                input,
                output: Box::new(Events { events, shared }),
                control: Box::new(NoopControl),
            })
        })
    }

    fn ids(&self) -> HostIds {
        HostIds::default()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Forwards the output of `child` and reaps it.
async fn run(mut child: Child, events: mpsc::Sender<TerminalEvent>, shared: Arc<Shared>) {
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let out = async {
        let mut buffer = vec![0; 32 * 1024];
        while let Ok(read @ 1..) = stdout.read(&mut buffer).await {
            let event = TerminalEvent::Output(Bytes::copy_from_slice(&buffer[..read]));
            if events.send(event).await.is_err() {
                break;
            }
        }
        drop(stdout);
    };
    let err = async {
        let mut buffer = vec![0; 4096];
        while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
            let _ = events.send(TerminalEvent::Stderr(Bytes::copy_from_slice(&buffer[..read]))).await;
        }
    };
    if shared.stderr_first.load(Ordering::Relaxed) {
        err.await;
        out.await;
    } else {
        tokio::join!(out, err);
    }
    let status = child.wait().await.unwrap();
    shared.processes.fetch_sub(1, Ordering::AcqRel);
    let code = status.code().and_then(|code| u32::try_from(code).ok());
    let _ = events.send(TerminalEvent::Exit(code.map_or(Exit::Unknown, Exit::Code))).await;
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "cut")
}

/// Returns how many of `bytes` more may pass.
fn pass(left: &Mutex<Option<u64>>, bytes: usize) -> usize {
    match &mut *left.lock().unwrap() {
        None => bytes,
        Some(left) => {
            let passed = usize::try_from(*left).unwrap().min(bytes);
            *left -= passed as u64;
            passed
        }
    }
}

struct Stdin {
    pipe: Option<ChildStdin>,
    shared: Arc<Shared>,
}

impl Input for Stdin {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let passed = pass(&self.shared.input_left, data.len());
            let Some(pipe) = &mut self.pipe else { return Err(broken()) };
            pipe.write_all(&data[..passed]).await?;
            if passed < data.len() {
                // An instance sees the end of the input.
                self.pipe = None;
                return Err(broken());
            }
            Ok(())
        })
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        self.pipe = None;
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Events {
    events: mpsc::Receiver<TerminalEvent>,
    shared: Arc<Shared>,
}

impl Output for Events {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        Box::pin(async {
            if self.shared.holds_output.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let event = self.events.recv().await?;
            if let TerminalEvent::Output(bytes) = &event
                && pass(&self.shared.output_left, bytes.len()) < bytes.len()
            {
                return Some(Err(broken()));
            }
            Some(Ok(event))
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::AcqRel);
    }
}
