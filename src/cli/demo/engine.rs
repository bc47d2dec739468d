//! The local Docker engine, through its own command: the instance needs that command anyway, and it honours
//! DOCKER_HOST, contexts and TLS as the user has them.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::owner::Owner;

/// The label that a container of a demo carries; its value is the [`Owner`].
const LABEL: &str = "eice.demo.owner";

/// How long the engine may take to answer a ping.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the engine may take for an ordinary command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the engine may take to fetch or import an image.
pub(super) const IMAGE_TIMEOUT: Duration = Duration::from_secs(300);

/// The most output of a command that is read, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;

/// The engine's default socket.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The command of a container's first process: it waits and reaps orphans, and needs only `sh` and `sleep`.
const IDLE: &str = "while :; do sleep 3600 & wait; done";

/// A Docker engine that answers.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    owner: Owner,
}

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// The `docker` command cannot be started.
    #[error("cannot run `docker`")]
    Start(#[source] io::Error),
    /// The `docker` command failed.
    #[error("`docker {verb}` failed: {stderr}")]
    Failed { verb: String, stderr: String },
    /// The engine did not answer in time.
    #[error("`docker {verb}` took longer than {} s", limit.as_secs())]
    Timeout { verb: String, limit: Duration },
}

impl Engine {
    /// Finds the local engine, or that of DOCKER_HOST.
    ///
    /// # Errors
    /// The reason why there is none, as text for the page.
    pub(super) async fn find(owner: Owner) -> Result<Self, String> {
        let engine = Self { owner };
        let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let socket = match &host {
            None => Some(DEFAULT_SOCKET),
            Some(host) => host.strip_prefix("unix://"),
        };
        // The socket answers within a millisecond; starting the command takes much longer.
        if let Some(socket) = socket
            && !matches!(timeout(PROBE_TIMEOUT, ping(socket)).await, Ok(Ok(true)))
            && host.is_some()
        {
            return Err(format!("no Docker engine answers at {socket}"));
        }
        match engine.run_within(PROBE_TIMEOUT, &["version", "--format", "{{.Server.Version}}"], None).await {
            Ok(version) => {
                tracing::info!(version = version.trim(), "a Docker engine answers");
                Ok(engine)
            }
            Err(EngineError::Start(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err("the `docker` command is not installed".into())
            }
            Err(error) => {
                tracing::info!(%error, "no Docker engine");
                Err("no Docker engine answers".into())
            }
        }
    }

    /// Returns whether the image is available locally.
    pub(super) async fn has_image(&self, image: &str) -> bool {
        self.run(&["image", "inspect", "--format", "{{.Id}}", image]).await.is_ok()
    }

    /// Fetches an image.
    pub(super) async fn pull(&self, image: &str) -> Result<(), EngineError> {
        self.run_within(IMAGE_TIMEOUT, &["pull", "--quiet", image], None).await.map(drop)
    }

    /// Builds the image `name` from the files in `tar`.
    pub(super) async fn import(&self, name: &str, tar: Vec<u8>) -> Result<(), EngineError> {
        self.run_within(IMAGE_TIMEOUT, &["import", "-", name], Some(tar)).await.map(drop)
    }

    /// Starts an idle container.
    pub(super) async fn start(
        &self,
        name: &str,
        image: &str,
        env: &[(&str, &str)],
    ) -> Result<(), EngineError> {
        let label = format!("{LABEL}={}", self.owner);
        let mut args = vec!["run", "--detach", "--name", name, "--label", &label];
        let env: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for pair in &env {
            args.extend(["--env", pair]);
        }
        args.extend(["--entrypoint", "sh", image, "-c", IDLE]);
        self.run(&args).await.map(drop)
    }

    /// Removes every container of this demo.
    pub(super) async fn remove_own(&self) -> Result<(), EngineError> {
        self.remove_where(|owner, _running| *owner == self.owner).await
    }

    /// Removes the containers of demos that have ended.
    pub(super) async fn remove_leftovers(&self) -> Result<(), EngineError> {
        self.remove_where(|owner, running| owner.is_gone(&self.owner, running)).await
    }

    async fn remove_where(&self, gone: impl Fn(&Owner, bool) -> bool) -> Result<(), EngineError> {
        let filter = format!("label={LABEL}");
        let format = format!("{{{{.ID}}}}\t{{{{.State}}}}\t{{{{.Label \"{LABEL}\"}}}}");
        let listed =
            self.run(&["ps", "--all", "--no-trunc", "--filter", &filter, "--format", &format]).await?;
        let ids: Vec<&str> = listed
            .lines()
            .filter_map(|line| {
                let mut fields = line.split('\t');
                let (id, state, owner) = (fields.next()?, fields.next()?, fields.next()?);
                gone(&owner.parse().ok()?, state == "running").then_some(id)
            })
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut args = vec!["rm", "--force", "--volumes"];
        args.extend(ids);
        self.run(&args).await.map(drop)
    }

    async fn run(&self, args: &[&str]) -> Result<String, EngineError> {
        self.run_within(COMMAND_TIMEOUT, args, None).await
    }

    /// Runs `docker args` and returns its stdout. Dropping the future kills the command.
    async fn run_within(
        &self,
        limit: Duration,
        args: &[&str],
        stdin: Option<Vec<u8>>,
    ) -> Result<String, EngineError> {
        let verb = args.first().copied().unwrap_or_default().to_owned();
        // In its own process group: Ctrl-C in the demo's terminal must not interrupt it.
        let mut child = Command::new("docker")
            .args(args)
            .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(EngineError::Start)?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async move {
            if let (Some(mut input), Some(bytes)) = (input, stdin) {
                // A command that stops reading gives the reason on stderr.
                let _ = input.write_all(&bytes).await;
            }
        };
        let work = async {
            let (out, err, (), status) = tokio::join!(text(output), text(errors), feed, child.wait());
            (out, err, status)
        };
        let (out, err, status) =
            timeout(limit, work).await.map_err(|_| EngineError::Timeout { verb: verb.clone(), limit })?;
        if status.map_err(EngineError::Start)?.success() {
            Ok(out)
        } else {
            Err(EngineError::Failed { verb, stderr: err.trim().to_owned() })
        }
    }
}

/// Reads a command's output, up to the limit.
async fn text(from: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let _ = from.take(MAX_OUTPUT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Pings the engine at a socket.
async fn ping(socket: &str) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"))
}
