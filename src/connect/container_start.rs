//! Detects whether the container engine opened the container.

mod complaint;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

pub(super) use complaint::{EngineContext, complaint};
use complaint::{is_complaint, not_started};

use crate::model::{Exit, Fault, Output, Stage, StageError, Terminal, TerminalEvent};

/// How long to wait for the first output of a shell before it counts as started.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of an engine's error output.
const MAX_ERROR_OUTPUT: usize = 4096;

/// The time limit for the engine to start a command. An engine handles concurrent starts one after the other.
pub(super) const COMMAND_START_TIMEOUT: Duration = Duration::from_secs(30);

type Event = io::Result<TerminalEvent>;

/// Returns `terminal` when a shell has started in it; the output read so far is read again from it.
///
/// NoOutput has been typed yet, so only an error message or silence directly followed by an exit counts as a
/// failure: later on, the same output and the same status are the user's own.
pub(super) async fn wait_for_shell(
    mut terminal: Terminal,
    context: EngineContext<'_>,
) -> Result<Terminal, StageError> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut seen: VecDeque<Event> = VecDeque::new();
    let mut said = Vec::new();
    while let Ok(event) = timeout_at(deadline, terminal.output.next()).await {
        let Some(event) = event else { break };
        match &event {
            Ok(TerminalEvent::Output(bytes) | TerminalEvent::Stderr(bytes)) => said.extend_from_slice(bytes),
            Ok(TerminalEvent::Exit(exit)) => {
                if let Some(error) = complaint(&String::from_utf8_lossy(&said), exit, context) {
                    terminal.control.close().await;
                    return Err(error);
                }
            }
            Err(_) => {}
        }
        let is_over = !matches!(event, Ok(TerminalEvent::Output(_) | TerminalEvent::Stderr(_)));
        seen.push_back(event);
        let is_shell = !said.is_empty() && !is_complaint(&String::from_utf8_lossy(&said));
        if is_over || is_shell || said.len() > MAX_ERROR_OUTPUT {
            break;
        }
    }
    Ok(replaying(terminal, seen))
}

/// Returns `terminal` when the engine has started the command in it. The command prints a line with `mark`
/// first: on stderr, or on the one stream of a PTY. The line is removed, everything else is read again.
///
/// Output before the mark is the engine's; output after it is the command's, its status included.
pub(super) async fn wait_for_command(
    mut terminal: Terminal,
    mark: &str,
    has_pty: bool,
    start_timeout: Duration,
    context: EngineContext<'_>,
) -> Result<Terminal, StageError> {
    let deadline = Instant::now() + start_timeout;
    let mut seen: VecDeque<Event> = VecDeque::new();
    let mut said = Vec::new();
    let failure = loop {
        let Ok(event) = timeout_at(deadline, terminal.output.next()).await else {
            let message = format!("the container engine did not start the command within {start_timeout:?}");
            break StageError::new(Stage::Shell, Fault::Timeout, message)
                .with_hint("check the load of the instance; try again");
        };
        match event {
            Some(Ok(TerminalEvent::Output(bytes))) if !has_pty => {
                seen.push_back(Ok(TerminalEvent::Output(bytes)));
            }
            Some(Ok(TerminalEvent::Output(bytes) | TerminalEvent::Stderr(bytes))) => {
                said.extend_from_slice(&bytes);
                if let Some(behind) = after_line(&said, mark.as_bytes()) {
                    if behind < said.len() {
                        let rest = Bytes::copy_from_slice(&said[behind..]);
                        let event =
                            if has_pty { TerminalEvent::Output(rest) } else { TerminalEvent::Stderr(rest) };
                        seen.push_front(Ok(event));
                    }
                    return Ok(replaying(terminal, seen));
                }
                let surplus = said.len().saturating_sub(MAX_ERROR_OUTPUT);
                said.drain(..surplus);
            }
            Some(Ok(TerminalEvent::Exit(exit))) => {
                let said = String::from_utf8_lossy(&said);
                break complaint(&said, &exit, context).unwrap_or_else(|| not_started(&said, &exit, context));
            }
            Some(Err(error)) => {
                break StageError::new(Stage::Shell, Fault::Network, "the connection was lost")
                    .with_source(error);
            }
            None => break not_started("", &Exit::Unknown, context),
        }
    };
    terminal.control.close().await;
    Err(failure)
}

/// Returns where the line with `mark` ends in `said`.
fn after_line(said: &[u8], mark: &[u8]) -> Option<usize> {
    let start = said.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let end = said[start..].iter().position(|&byte| byte == b'\n')?;
    Some(start + end + 1)
}

/// Makes `terminal` return `seen` first.
fn replaying(mut terminal: Terminal, seen: VecDeque<Event>) -> Terminal {
    let output = std::mem::replace(&mut terminal.output, Box::new(NoOutput));
    terminal.output = Box::new(Replay { seen, output });
    terminal
}

/// Returns the events read ahead, then the rest.
struct Replay {
    seen: VecDeque<Event>,
    output: Box<dyn Output>,
}

impl Output for Replay {
    fn next(&mut self) -> BoxFuture<'_, Option<Event>> {
        // Taken only when polled: a future that is dropped unpolled, as in `select!`, must lose nothing.
        Box::pin(async {
            match self.seen.pop_front() {
                Some(event) => Some(event),
                None => self.output.next().await,
            }
        })
    }
}

struct NoOutput;

impl Output for NoOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<Event>> {
        Box::pin(std::future::ready(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContainerShell, Input, NoopControl, OsUser};

    struct Script(VecDeque<TerminalEvent>);

    impl Output for Script {
        fn next(&mut self) -> BoxFuture<'_, Option<Event>> {
            let event = self.0.pop_front().map(Ok);
            Box::pin(std::future::ready(event))
        }
    }

    struct NullInput;

    impl Input for NullInput {
        fn write(&mut self, _: Bytes) -> BoxFuture<'_, io::Result<()>> {
            Box::pin(std::future::ready(Ok(())))
        }
        fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    fn out(text: &'static str) -> TerminalEvent {
        TerminalEvent::Output(Bytes::from_static(text.as_bytes()))
    }

    fn err(text: &'static str) -> TerminalEvent {
        TerminalEvent::Stderr(Bytes::from_static(text.as_bytes()))
    }

    fn exit(code: u32) -> TerminalEvent {
        TerminalEvent::Exit(Exit::Code(code))
    }

    fn terminal(script: impl IntoIterator<Item = TerminalEvent>) -> Terminal {
        let script = Script(script.into_iter().collect());
        Terminal { input: Box::new(NullInput), output: Box::new(script), control: Box::new(NoopControl) }
    }

    async fn rest(mut terminal: Terminal) -> Vec<TerminalEvent> {
        let mut seen = Vec::new();
        while let Some(event) = terminal.output.next().await {
            seen.push(event.unwrap());
        }
        seen
    }

    /// Runs a command with the mark `4711` to its end.
    async fn command(
        has_pty: bool,
        script: impl IntoIterator<Item = TerminalEvent>,
    ) -> Result<Vec<TerminalEvent>, StageError> {
        let (container, user) = (ContainerShell::new("web".parse().unwrap()), OsUser::default());
        let context = EngineContext { container: &container, user: &user };
        Ok(rest(wait_for_command(terminal(script), "4711", has_pty, COMMAND_START_TIMEOUT, context).await?)
            .await)
    }

    #[tokio::test]
    async fn mark_splits_engine_and_command() {
        let none = "Error: No such container: web\n";
        let events = command(false, [err("47"), out("1"), err("11\n"), err(none), exit(1)]).await.unwrap();
        assert_eq!(events, [out("1"), err(none), exit(1)], "output and status are the command's own");
        let events = command(false, [err("emulated\n4711\nwords\n"), exit(0)]).await.unwrap();
        assert_eq!(events, [err("words\n"), exit(0)]);
        let events = command(true, [out("4711\r\nwords\r\n"), exit(127)]).await.unwrap();
        assert_eq!(events, [out("words\r\n"), exit(127)]);
        assert_eq!(command(false, [err(none), exit(1)]).await.unwrap_err().fault(), Fault::NotFound);
        // The output is unknown, but no command ran.
        for code in [0, 1, 5] {
            let error = command(false, [err("something\n"), exit(code)]).await.unwrap_err();
            assert_eq!(error.fault(), Fault::Remote, "{code}");
        }
        assert_eq!(command(false, []).await.unwrap_err().fault(), Fault::Remote);
    }

    #[tokio::test]
    async fn unpolled_future_loses_no_output() {
        let (container, user) = (ContainerShell::new("web".parse().unwrap()), OsUser::default());
        let context = EngineContext { container: &container, user: &user };
        let script = [out("1"), err("4711\n"), out("2"), exit(0)];
        let mut terminal =
            wait_for_command(terminal(script), "4711", false, COMMAND_START_TIMEOUT, context).await.unwrap();
        drop(terminal.output.next());
        assert_eq!(rest(terminal).await, [out("1"), out("2"), exit(0)]);
    }

    #[tokio::test]
    async fn silent_engine_times_out() {
        struct Silence;
        impl Output for Silence {
            fn next(&mut self) -> BoxFuture<'_, Option<Event>> {
                Box::pin(std::future::pending())
            }
        }
        let terminal = Terminal {
            input: Box::new(NullInput),
            output: Box::new(Silence),
            control: Box::new(NoopControl),
        };
        let (container, user) = (ContainerShell::new("web".parse().unwrap()), OsUser::default());
        let context = EngineContext { container: &container, user: &user };
        let error =
            wait_for_command(terminal, "4711", false, Duration::from_millis(20), context).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Timeout);
    }

    async fn run(said: &[&'static str], code: Option<u32>) -> Result<Vec<TerminalEvent>, StageError> {
        let script = said.iter().map(|text| out(text)).chain(code.map(exit));
        let (container, user) = (ContainerShell::new("web".parse().unwrap()), OsUser::default());
        let context = EngineContext { container: &container, user: &user };
        Ok(rest(wait_for_shell(terminal(script), context).await?).await)
    }

    #[tokio::test]
    async fn engine_errors_have_fault_and_hint() {
        for (said, code, fault) in [
            ("Error response from daemon: No such container: web\r\n", 1, Fault::NotFound),
            ("Error: No such container: web\r\n", 1, Fault::NotFound),
            ("Error response from daemon: container 0a is not running\r\n", 1, Fault::State),
            (
                "permission denied while trying to connect to the Docker daemon socket at unix:///x\r\n",
                1,
                Fault::Denied,
            ),
            ("sudo: a password is required\r\n", 1, Fault::Denied),
            ("Cannot connect to the Docker daemon at unix:///x. Is it running?\r\n", 1, Fault::State),
            ("bash: line 1: docker: command not found\r\n", 127, Fault::Remote),
            ("sh: 1: docker: not found\r\n", 127, Fault::Remote),
            (
                "OCI runtime exec failed: exec: \"sh\": executable file not found in $PATH\r\n",
                126,
                Fault::Remote,
            ),
            ("", 127, Fault::Remote),
        ] {
            let error = run(&[said], Some(code)).await.unwrap_err();
            assert_eq!((error.stage(), error.fault()), (Stage::Shell, fault), "{said:?}: {error}");
            assert!(error.hint().is_some());
        }
    }

    #[tokio::test]
    async fn user_output_is_not_an_engine_error() {
        for (said, code) in [
            (&["/ # "][..], 127),
            (&["/ # ", "foo: not found\r\n"], 127),
            (&["Error response from daemon: but it went on\r\n", "/ # "], 0),
            (&["welcome\r\n"], 1),
            (&[], 0),
            (&[], 1),
        ] {
            let seen = run(said, Some(code)).await.unwrap();
            assert_eq!(seen.len(), said.len() + 1, "nothing is lost: {seen:?}");
            assert_eq!(seen.last(), Some(&TerminalEvent::Exit(Exit::Code(code))));
        }
    }
}
