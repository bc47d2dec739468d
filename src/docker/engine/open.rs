//! Opens an exec as a terminal.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::attach::Attached;
use super::client::{Client, Exec};
use super::find::Container;
use super::output::ExecReader;
use super::script;
use super::start::{NotStarted, wait_for};
use super::terminal::{ExecState, terminal};
use super::watch::Watch;
use crate::docker::exec::TerminalMarker;
use crate::model::{EnvName, Fault, Shell, Size, Stage, StageError, Terminal, TerminalRequest};

/// The time limit for starting a shell and its watcher. An engine handles concurrent starts one after the
/// other.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens the terminal that `request` describes in `container`, with `env` in its environment, and a watcher for
/// it.
///
/// Dropping the future leaves nothing behind: a separate task waits, within a bound, until the engine has
/// started the exec, and then ends it. A watcher that ran before that would find nothing to end.
pub(super) async fn open(
    client: &Client,
    container: &Container,
    env: &[(EnvName, String)],
    request: &TerminalRequest,
) -> Result<(Terminal, Weak<Watch>), StageError> {
    let marker = TerminalMarker::random();
    let command = command(request.shell.as_ref())?;
    let exec = ShellExec {
        command,
        env: environment(env, request, &marker)?,
        size: request.pty.then_some(request.size),
    };
    let (sender, receiver) = oneshot::channel();
    let starting = {
        let (client, container) = (client.clone(), container.clone());
        async move {
            let started = timeout(START_TIMEOUT, start(&client, &container, exec, &marker)).await;
            let started = match started {
                Ok(started) => started.map_err(|error| error.into_stage_error(&container)),
                Err(_) => Err(too_late(&container)),
            };
            // Without a receiver, dropping the terminal here ends it.
            let _ = sender.send(started);
        }
    };
    tokio::spawn(starting.in_current_span());
    let (shell, watch) = receiver.await.unwrap_or_else(|_| {
        Err(StageError::new(Stage::Shell, Fault::Internal, "the task that starts a shell ended"))
    })?;
    let (weak, has_pty) = (Arc::downgrade(&watch), request.pty);
    let state = ExecState::new(client.clone(), container.id.clone(), shell.exec, shell.pid, watch);
    Ok((terminal(shell.reader, shell.write, has_pty, state), weak))
}

/// The command to run, and the size of its PTY if it has one.
struct ShellExec {
    command: Vec<String>,
    env: Vec<String>,
    size: Option<Size>,
}

/// Starts the watcher and, concurrently, the shell, which continues only when both run.
async fn start(
    client: &Client,
    container: &Container,
    wanted: ShellExec,
    marker: &TerminalMarker,
) -> Result<(StartedShell, Arc<Watch>), NotStarted> {
    let ShellExec { command, env, size } = wanted;
    // The watcher starts first, so that no shell ever runs without one.
    let watch = Watch::start(client, &container.id, marker).await?;
    let exec = Exec { container: &container.id, command, env, tty: size.is_some(), stdin: true };
    let (shell, watch) = tokio::join!(StartedShell::start(client, exec, marker), watch.ready());
    let mut shell = shell?;
    let watch = match watch {
        Ok(watch) => watch,
        Err(error) => {
            shell.give_up(size.is_some()).await;
            return Err(error);
        }
    };
    if let Some(size) = size {
        client.resize(&shell.exec, size).await?;
        shell.reader.skip_echo(script::ECHO);
    }
    shell.write.write_all(script::GO).await.map_err(NotStarted::Broken)?;
    Ok((shell, Arc::new(watch)))
}

fn too_late(container: &Container) -> StageError {
    let (name, seconds) = (&container.name, START_TIMEOUT.as_secs());
    let message = format!("the Docker engine did not start a shell in container {name} within {seconds} s");
    StageError::new(Stage::Shell, Fault::Timeout, message)
        .with_hint("check the load of the engine, and try again")
}

/// Returns the arguments of the command to run.
fn command(shell: Option<&Shell>) -> Result<Vec<String>, StageError> {
    match shell {
        None | Some(Shell::Login) => Ok(script::shell()),
        Some(Shell::Command(line)) if line.contains('\0') => Err(usage("the command contains a NUL byte")),
        Some(Shell::Command(line)) => Ok(script::command(vec!["sh".into(), "-c".into(), line.clone()])),
        Some(Shell::Container(inner)) => Err(usage(format!(
            "container {} cannot be opened: a local workspace is a container itself",
            inner.container
        ))),
    }
}

/// Returns the variables to add to the container's environment.
fn environment(
    env: &[(EnvName, String)],
    request: &TerminalRequest,
    marker: &TerminalMarker,
) -> Result<Vec<String>, StageError> {
    let mut all = vec![marker.to_string()];
    all.extend(request.pty.then(|| format!("TERM={}", request.term)));
    all.extend(request.lang.as_ref().map(|lang| format!("LANG={lang}")));
    // These come last, so that the workspace's own TERM or LANG overrides ours.
    all.extend(env.iter().map(|(name, value)| format!("{name}={value}")));
    match all.iter().find(|variable| variable.contains('\0')) {
        None => Ok(all),
        Some(variable) => {
            let name = variable.split('=').next().unwrap_or_default();
            Err(usage(format!("the variable {name} contains a NUL byte")))
        }
    }
}

fn usage(message: impl Into<std::borrow::Cow<'static, str>>) -> StageError {
    StageError::new(Stage::Shell, Fault::Usage, message).with_hint("correct the settings of the workspace")
}

/// A shell that waits for its start line.
struct StartedShell {
    exec: String,
    reader: ExecReader,
    write: WriteHalf<Attached>,
    /// Its process id in the container.
    pid: Option<u32>,
}

impl StartedShell {
    async fn start(client: &Client, wanted: Exec<'_>, marker: &TerminalMarker) -> Result<Self, NotStarted> {
        let tty = wanted.tty;
        let exec = client.create(wanted).await?;
        let (read, write) = tokio::io::split(client.start(&exec, tty).await?);
        let mut reader = ExecReader::new(read, tty);
        let pid = wait_for(client, &exec, &mut reader, |said| script::started(said, marker)).await?;
        Ok(Self { exec, reader, write, pid })
    }

    /// Ends it, because it has no watcher. Without a PTY it ends with its stdin.
    async fn give_up(mut self, has_pty: bool) {
        if has_pty && let Err(error) = self.write.write_all(script::GIVE_UP).await {
            tracing::warn!(%error, "a shell that was not opened may be left in its container");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContainerShell;

    #[test]
    fn command_is_one_argument_of_sh() {
        let line = "printf '%s' \"$HOME\"; false".to_owned();
        let words = command(Some(&Shell::Command(line.clone()))).unwrap();
        assert_eq!(words[words.len() - 3..], ["sh".to_owned(), "-c".to_owned(), line]);
        assert!(command(None).unwrap()[2].ends_with("command -v bash >/dev/null && exec bash; exec sh"));
        let inner = Shell::Container(ContainerShell::new("web".parse().unwrap()));
        assert_eq!(command(Some(&inner)).unwrap_err().fault(), Fault::Usage);
        assert_eq!(command(Some(&Shell::Command("\0".into()))).unwrap_err().fault(), Fault::Usage);
    }

    #[test]
    fn workspace_variables_come_last() {
        let marker = TerminalMarker::random();
        let of = |name: &str, value: &str| vec![(name.parse::<EnvName>().unwrap(), value.to_owned())];
        let request = TerminalRequest::default();
        assert_eq!(
            environment(&of("A", "b=c d"), &request, &marker).unwrap(),
            [marker.to_string(), "TERM=xterm-256color".into(), "LANG=C.UTF-8".into(), "A=b=c d".into()]
        );
        let bare = environment(&[], &TerminalRequest::without_pty(), &marker).unwrap();
        assert!(!bare.iter().any(|variable| variable.starts_with("TERM=")));
        let error = environment(&of("A", "secret\0"), &request, &marker).unwrap_err();
        assert_eq!(error.message(), "the variable A contains a NUL byte");
    }
}
