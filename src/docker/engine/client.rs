//! The client of the engine's API.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ExecConfig};
use bollard::query_parameters::{InspectContainerOptions, ResizeExecOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::time::{Instant, sleep, timeout};

use super::address::Address;
use super::attach::{self, Attached};
use super::config::EngineConfig;
use super::error::EngineError;
use crate::model::{Exit, Size};

/// How long the exit status may lag behind the end of the output. The engine itself waits 2 s for the rest of
/// the output.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The initial interval between queries for the exit status.
const EXIT_RETRY: Duration = Duration::from_millis(2);

/// A client of the engine. Cheap to clone; clones share their state.
#[derive(Clone)]
pub(super) struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: EngineConfig,
    /// Created on first use: its socket must exist by then.
    docker: OnceLock<Docker>,
}

/// The parameters of an exec.
pub(super) struct Exec<'a> {
    pub(super) container: &'a str,
    pub(super) command: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) tty: bool,
    pub(super) stdin: bool,
}

/// The key sequence that makes the engine detach from a PTY, which leaves its process running. It cannot be
/// disabled, and the default, Ctrl-P Ctrl-Q, delays every Ctrl-P of a shell. This one delays Ctrl-^ until the next
/// key.
const DETACH_KEYS: &str = "ctrl-^,ctrl-@,ctrl-_,ctrl-^,ctrl-@,ctrl-_";

impl Client {
    pub(super) fn new(config: EngineConfig) -> Self {
        Self { shared: Arc::new(Shared { config, docker: OnceLock::new() }) }
    }

    pub(super) fn config(&self) -> &EngineConfig {
        &self.shared.config
    }

    pub(super) fn address(&self) -> &Address {
        &self.shared.config.address
    }

    /// Checks that the engine responds.
    pub(super) async fn ping(&self) -> Result<(), EngineError> {
        let docker = self.docker()?;
        self.within(docker.ping()).await.map(drop)
    }

    /// Returns the container that the engine finds for `name`, possibly by an id prefix; `None` when there is
    /// none.
    pub(super) async fn inspect(&self, name: &str) -> Result<Option<ContainerInspectResponse>, EngineError> {
        let docker = self.docker()?;
        match self.within(docker.inspect_container(name, None::<InspectContainerOptions>)).await {
            Ok(found) => Ok(Some(found)),
            Err(EngineError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates an exec and returns its id. An exec that is never started is only a record in the engine's
    /// memory.
    pub(super) async fn create(&self, exec: Exec<'_>) -> Result<String, EngineError> {
        let config = ExecConfig {
            attach_stdin: Some(exec.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(exec.tty),
            detach_keys: exec.tty.then(|| DETACH_KEYS.to_owned()),
            env: Some(exec.env),
            cmd: Some(exec.command),
            ..ExecConfig::default()
        };
        let docker = self.docker()?;
        Ok(self.within(docker.create_exec(exec.container, config)).await?.id)
    }

    /// Starts the exec `id` with its streams on a connection of their own.
    pub(super) async fn start(&self, id: &str, tty: bool) -> Result<Attached, EngineError> {
        let after = self.config().timeout;
        let started = timeout(after, attach::start(self.address(), id, tty)).await;
        started.unwrap_or_else(|_| Err(EngineError::Silent { address: self.address().clone(), after }))
    }

    /// Resizes the PTY of the exec `id`.
    pub(super) async fn resize(&self, id: &str, size: Size) -> Result<(), EngineError> {
        let docker = self.docker()?;
        let options = ResizeExecOptionsBuilder::default().w(size.cols().into()).h(size.rows().into()).build();
        self.within(docker.resize_exec(id, options)).await
    }

    /// Returns how the exec `id`, whose output has ended, exited; `None` when it is still running.
    pub(super) async fn exit(&self, id: &str) -> Result<Option<Exit>, EngineError> {
        let docker = self.docker()?;
        let (deadline, mut retry) = (Instant::now() + EXIT_TIMEOUT, EXIT_RETRY);
        loop {
            let exec = self.within(docker.inspect_exec(id)).await?;
            if exec.running == Some(false) {
                let code = exec.exit_code.and_then(|code| u32::try_from(code).ok());
                return Ok(Some(code.map_or(Exit::Unknown, Exit::Code)));
            }
            // The output may end slightly before the exit status is known.
            if Instant::now() + retry > deadline {
                return Ok(None);
            }
            sleep(retry).await;
            retry = (retry * 2).min(EXIT_TIMEOUT / 20);
        }
    }

    fn docker(&self) -> Result<Docker, EngineError> {
        if let Some(docker) = self.shared.docker.get() {
            return Ok(docker.clone());
        }
        // Bollard's own timeout has whole seconds; ours is shorter.
        let seconds = self.config().timeout.as_secs() + 1;
        let made = match self.address() {
            Address::Unix(path) => Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION),
            Address::Tcp(authority) => Docker::connect_with_http(authority, seconds, API_DEFAULT_VERSION),
        };
        let made = made.map_err(|error| EngineError::new(error, self.address(), self.config().timeout))?;
        Ok(self.shared.docker.get_or_init(|| made).clone())
    }

    async fn within<T>(
        &self,
        request: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, EngineError> {
        let after = self.config().timeout;
        let answer = timeout(after, request).await;
        let answer = answer.unwrap_or(Err(bollard::errors::Error::RequestTimeoutError));
        answer.map_err(|error| EngineError::new(error, self.address(), after))
    }
}
