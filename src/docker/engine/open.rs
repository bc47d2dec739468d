//! An exec becomes a terminal.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::attach::Attached;
use super::client::{Client, Exec};
use super::error::EngineError;
use super::find::Container;
use super::output::Reader;
use super::script;
use super::terminal::{Life, terminal};
use super::watch::Watch;
use crate::docker::Marker;
use crate::model::{
    EnvName, Exit, Fault, Shell, Size, Stage, StageError, Terminal, TerminalEvent, TerminalRequest,
};

/// How long the engine may take to start a shell and its watcher. Each of many at once takes its turn at the engine.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How much is kept of what is said instead, in bytes.
const MAX_COMPLAINT: usize = 4096;

/// Why an exec did not start.
#[derive(Debug)]
pub(super) enum NotStarted {
    Engine(EngineError),
    /// It ended before its first line, and this was said instead.
    Ended {
        said: String,
        exit: Option<Exit>,
    },
    /// The connection broke.
    Broken(std::io::Error),
}

impl From<EngineError> for NotStarted {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// Opens what `request` asks for in `container`, with `env` in its environment, and the watcher over it.
///
/// Dropping the future leaves nothing behind either: what the engine was asked to start is waited for, by a task of its
/// own and within a bound, and then ended. A watcher that set to work before that would find nothing to end.
pub(super) async fn open(
    client: &Client,
    container: &Container,
    env: &[(EnvName, String)],
    request: &TerminalRequest,
) -> Result<(Terminal, Weak<Watch>), StageError> {
    let marker = Marker::random();
    let command = command(request.shell.as_ref())?;
    let exec = Wanted {
        command,
        env: environment(env, request, &marker)?,
        size: request.pty.then_some(request.size),
    };
    let (tell, told) = oneshot::channel();
    let starting = {
        let (client, container) = (client.clone(), container.clone());
        async move {
            let started = timeout(START_TIMEOUT, start(&client, &container, exec, &marker)).await;
            let started = match started {
                Ok(started) => started.map_err(|error| error.into_stage_error(&container)),
                Err(_) => Err(too_late(&container)),
            };
            // Where nobody listens any more, this is where it ends.
            let _ = tell.send(started);
        }
    };
    tokio::spawn(starting.in_current_span());
    let (shell, watch) = told.await.unwrap_or_else(|_| {
        Err(StageError::new(Stage::Shell, Fault::Internal, "the task that starts a shell ended"))
    })?;
    let (weak, has_pty) = (Arc::downgrade(&watch), request.pty);
    let life = Life::new(client.clone(), container.id.clone(), shell.exec, shell.pid, watch);
    Ok((terminal(shell.reader, shell.write, has_pty, life), weak))
}

/// What is to run, and how large its PTY is where it has one.
struct Wanted {
    command: Vec<String>,
    env: Vec<String>,
    size: Option<Size>,
}

/// Starts the watcher and, beside it, the shell, which goes on only when both are there.
async fn start(
    client: &Client,
    container: &Container,
    wanted: Wanted,
    marker: &Marker,
) -> Result<(Started, Arc<Watch>), NotStarted> {
    let Wanted { command, env, size } = wanted;
    // First, so that nothing is ever started that no watcher will look for.
    let watch = Watch::start(client, &container.id, marker).await?;
    let exec = Exec { container: &container.id, command, env, tty: size.is_some(), stdin: true };
    let (shell, watch) = tokio::join!(Started::start(client, exec, marker), watch.ready());
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

/// The words of what is to run.
fn command(shell: Option<&Shell>) -> Result<Vec<String>, StageError> {
    match shell {
        None | Some(Shell::Login) => Ok(script::shell()),
        Some(Shell::Command(line)) if line.contains('\0') => Err(usage("the command holds a NUL byte")),
        Some(Shell::Command(line)) => Ok(script::command(vec!["sh".into(), "-c".into(), line.clone()])),
        Some(Shell::Container(inner)) => Err(usage(format!(
            "container {} cannot be opened: a local workspace is a container itself",
            inner.container
        ))),
    }
}

/// What is added to the environment that the container has.
fn environment(
    env: &[(EnvName, String)],
    request: &TerminalRequest,
    marker: &Marker,
) -> Result<Vec<String>, StageError> {
    let mut all = vec![marker.to_string()];
    all.extend(request.pty.then(|| format!("TERM={}", request.term)));
    all.extend(request.lang.as_ref().map(|lang| format!("LANG={lang}")));
    // Last, so that the workspace's own TERM or LANG counts.
    all.extend(env.iter().map(|(name, value)| format!("{name}={value}")));
    match all.iter().find(|variable| variable.contains('\0')) {
        None => Ok(all),
        Some(variable) => {
            let name = variable.split('=').next().unwrap_or_default();
            Err(usage(format!("the variable {name} holds a NUL byte")))
        }
    }
}

fn usage(message: impl Into<std::borrow::Cow<'static, str>>) -> StageError {
    StageError::new(Stage::Shell, Fault::Usage, message).with_hint("correct the settings of the workspace")
}

/// A shell that waits to be let go.
struct Started {
    exec: String,
    reader: Reader,
    write: WriteHalf<Attached>,
    /// Its number in the container.
    pid: Option<u32>,
}

impl Started {
    async fn start(client: &Client, wanted: Exec<'_>, marker: &Marker) -> Result<Self, NotStarted> {
        let tty = wanted.tty;
        let exec = client.create(wanted).await?;
        let (read, write) = tokio::io::split(client.start(&exec, tty).await?);
        let mut reader = Reader::new(read, tty);
        let pid = wait_for(client, &exec, &mut reader, |said| script::started(said, marker)).await?;
        Ok(Self { exec, reader, write, pid })
    }

    /// Ends it: nothing watches over it. Without a PTY it ends with its stdin.
    async fn give_up(mut self, has_pty: bool) {
        if has_pty && let Err(error) = self.write.write_all(script::GIVE_UP).await {
            tracing::warn!(%error, "a shell that was not opened may be left in its container");
        }
    }
}

/// Waits until `find` finds in what the exec says what it waits for, and gives it back. What stands before it is the
/// engine's; what stands behind it is read again.
pub(super) async fn wait_for<T>(
    client: &Client,
    exec: &str,
    reader: &mut Reader,
    find: impl Fn(&[u8]) -> Option<(usize, T)>,
) -> Result<T, NotStarted> {
    let mut said: Vec<u8> = Vec::new();
    loop {
        let event = reader.next().await.map_err(NotStarted::Broken)?;
        let (bytes, is_stderr) = match &event {
            Some(TerminalEvent::Output(bytes)) => (bytes, false),
            Some(TerminalEvent::Stderr(bytes)) => (bytes, true),
            _ => {
                let exit = client.exit(exec).await?;
                let said = String::from_utf8_lossy(&said).trim().to_owned();
                return Err(NotStarted::Ended { said, exit });
            }
        };
        said.extend_from_slice(bytes);
        if let Some((end, found)) = find(&said) {
            if end < said.len() {
                let rest = bytes.slice(bytes.len() - (said.len() - end)..);
                reader.unread(if is_stderr {
                    TerminalEvent::Stderr(rest)
                } else {
                    TerminalEvent::Output(rest)
                });
            }
            return Ok(found);
        }
        let surplus = said.len().saturating_sub(MAX_COMPLAINT);
        said.drain(..surplus);
    }
}

impl NotStarted {
    fn into_stage_error(self, container: &Container) -> StageError {
        let name = &container.name;
        let (said, exit) = match self {
            Self::Engine(EngineError::Refused { status: 400 | 500, message }) => (message, None),
            Self::Engine(error) => return error.into_stage_error(Stage::Shell),
            Self::Broken(error) => {
                return StageError::new(
                    Stage::Shell,
                    Fault::Network,
                    "the connection to the Docker engine broke",
                )
                .with_hint("check that the engine runs, and try again")
                .with_source(error);
            }
            Self::Ended { said, exit } => (said, exit),
        };
        let has_no_shell = matches!(exit, Some(Exit::Code(126 | 127)))
            || said.contains("executable file not found")
            || said.contains("no such file or directory");
        let (message, hint) = if has_no_shell {
            (format!("container {name} cannot start a shell"), "the image needs a POSIX sh".to_owned())
        } else {
            let message = format!("the Docker engine could not start a shell in container {name}");
            (message, format!("try `docker exec {name} true` on the engine's machine"))
        };
        let source = match (said.is_empty(), exit) {
            (false, _) => said,
            (true, Some(exit)) => format!("it {exit}"),
            (true, None) => "it says nothing".to_owned(),
        };
        StageError::new(Stage::Shell, Fault::Remote, message).with_hint(hint).with_source(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContainerShell;

    #[test]
    fn a_command_is_one_word_for_a_shell_that_does_not_read_it_twice() {
        let line = "printf '%s' \"$HOME\"; false".to_owned();
        let words = command(Some(&Shell::Command(line.clone()))).unwrap();
        assert_eq!(words[words.len() - 3..], ["sh".to_owned(), "-c".to_owned(), line]);
        assert!(command(None).unwrap()[2].ends_with("command -v bash >/dev/null && exec bash; exec sh"));
        let inner = Shell::Container(ContainerShell::new("web".parse().unwrap()));
        assert_eq!(command(Some(&inner)).unwrap_err().fault(), Fault::Usage);
        assert_eq!(command(Some(&Shell::Command("\0".into()))).unwrap_err().fault(), Fault::Usage);
    }

    #[test]
    fn the_environment_holds_the_marker_and_what_the_workspace_says_counts_last() {
        let marker = Marker::random();
        let of = |name: &str, value: &str| vec![(name.parse::<EnvName>().unwrap(), value.to_owned())];
        let request = TerminalRequest::default();
        assert_eq!(
            environment(&of("A", "b=c d"), &request, &marker).unwrap(),
            [marker.to_string(), "TERM=xterm-256color".into(), "LANG=C.UTF-8".into(), "A=b=c d".into()]
        );
        let bare = environment(&[], &TerminalRequest::without_pty(), &marker).unwrap();
        assert!(!bare.iter().any(|variable| variable.starts_with("TERM=")));
        let error = environment(&of("A", "secret\0"), &request, &marker).unwrap_err();
        assert_eq!(error.message(), "the variable A holds a NUL byte");
    }

    #[test]
    fn an_image_without_a_shell_is_told_from_an_engine_that_fails() {
        let container = Container { id: "0a".into(), name: "ws-1".parse().unwrap() };
        let ended =
            |said: &str, exit| NotStarted::Ended { said: said.into(), exit }.into_stage_error(&container);
        for error in [
            ended(
                "OCI runtime exec failed: exec: \"sh\": executable file not found in $PATH",
                Some(Exit::Code(126)),
            ),
            ended("", Some(Exit::Code(127))),
            NotStarted::Engine(EngineError::Refused {
                status: 400,
                message: "OCI runtime exec failed: exec: \"sh\": executable file not found in $PATH".into(),
            })
            .into_stage_error(&container),
        ] {
            assert_eq!(error.fault(), Fault::Remote);
            assert_eq!(error.message(), "container ws-1 cannot start a shell");
            assert_eq!(error.hint(), Some("the image needs a POSIX sh"));
        }
        let odd = ended("cannot allocate memory", Some(Exit::Code(1)));
        assert!(odd.chain().ends_with("could not start a shell in container ws-1: cannot allocate memory"));
        let gone = NotStarted::Engine(EngineError::Refused { status: 409, message: "is paused".into() });
        assert_eq!(gone.into_stage_error(&container).fault(), Fault::State);
    }
}
