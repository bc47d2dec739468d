//! Whether the container engine opened the container at all.

mod complaint;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

pub(super) use complaint::{Place, complaint};
use complaint::{is_complaint, not_started};

use crate::model::{Exit, Fault, Output, Stage, StageError, Terminal, TerminalEvent};

/// How long the first words of a shell are waited for before it is taken for started.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// An engine's complaint is not longer than this, in bytes.
const MAX_COMPLAINT: usize = 4096;

/// How long the engine may take to start a command. Each of many at once takes its turn at the engine.
pub(super) const COMMAND_START_TIMEOUT: Duration = Duration::from_secs(30);

type Event = io::Result<TerminalEvent>;

/// `terminal` when a shell has begun in it; what was read to find out is read again from it.
///
/// Nothing has been typed yet, and only a complaint or silence with an exit right behind it counts: the same
/// words and the same status later on are the user's own.
pub(super) async fn started(mut terminal: Terminal, place: Place<'_>) -> Result<Terminal, StageError> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut seen: VecDeque<Event> = VecDeque::new();
    let mut said = Vec::new();
    while let Ok(event) = timeout_at(deadline, terminal.output.next()).await {
        let Some(event) = event else { break };
        match &event {
            Ok(TerminalEvent::Output(bytes) | TerminalEvent::Stderr(bytes)) => said.extend_from_slice(bytes),
            Ok(TerminalEvent::Exit(exit)) => {
                if let Some(error) = complaint(&String::from_utf8_lossy(&said), exit, place) {
                    terminal.control.close().await;
                    return Err(error);
                }
            }
            Err(_) => {}
        }
        let is_over = !matches!(event, Ok(TerminalEvent::Output(_) | TerminalEvent::Stderr(_)));
        seen.push_back(event);
        let is_shell = !said.is_empty() && !is_complaint(&String::from_utf8_lossy(&said));
        if is_over || is_shell || said.len() > MAX_COMPLAINT {
            break;
        }
    }
    Ok(replaying(terminal, seen))
}

/// `terminal` when the engine has started the command in it, which it says by a line with `mark` before anything
/// else: on stderr, or where a PTY merges both, on the one stream. The line is taken away, all else is read again.
///
/// Whatever comes before the mark is the engine's; whatever comes behind it, the command's, its status included.
pub(super) async fn running(
    mut terminal: Terminal,
    mark: &str,
    has_pty: bool,
    start_timeout: Duration,
    place: Place<'_>,
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
                let surplus = said.len().saturating_sub(MAX_COMPLAINT);
                said.drain(..surplus);
            }
            Some(Ok(TerminalEvent::Exit(exit))) => {
                let said = String::from_utf8_lossy(&said);
                break complaint(&said, &exit, place).unwrap_or_else(|| not_started(&said, &exit, place));
            }
            Some(Err(error)) => {
                break StageError::new(Stage::Shell, Fault::Network, "the connection was lost")
                    .with_source(error);
            }
            None => break not_started("", &Exit::Unknown, place),
        }
    };
    terminal.control.close().await;
    Err(failure)
}

/// Where the line that holds `mark` ends in `said`.
fn after_line(said: &[u8], mark: &[u8]) -> Option<usize> {
    let start = said.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let end = said[start..].iter().position(|&byte| byte == b'\n')?;
    Some(start + end + 1)
}

/// `terminal` with `seen` to be read again first.
fn replaying(mut terminal: Terminal, seen: VecDeque<Event>) -> Terminal {
    let output = std::mem::replace(&mut terminal.output, Box::new(Nothing));
    terminal.output = Box::new(Replay { seen, output });
    terminal
}

/// Gives what was read ahead, then the rest.
struct Replay {
    seen: VecDeque<Event>,
    output: Box<dyn Output>,
}

impl Output for Replay {
    fn next(&mut self) -> BoxFuture<'_, Option<Event>> {
        // Taken when it is polled: whoever drops the future unpolled, as `select!` may, must find it again.
        Box::pin(async {
            match self.seen.pop_front() {
                Some(event) => Some(event),
                None => self.output.next().await,
            }
        })
    }
}

struct Nothing;

impl Output for Nothing {
    fn next(&mut self) -> BoxFuture<'_, Option<Event>> {
        Box::pin(std::future::ready(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContainerShell, Input, OsUser, Unmoved};

    struct Script(VecDeque<TerminalEvent>);

    impl Output for Script {
        fn next(&mut self) -> BoxFuture<'_, Option<Event>> {
            let event = self.0.pop_front().map(Ok);
            Box::pin(std::future::ready(event))
        }
    }

    struct Deaf;

    impl Input for Deaf {
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
        Terminal { input: Box::new(Deaf), output: Box::new(script), control: Box::new(Unmoved) }
    }

    async fn rest(mut terminal: Terminal) -> Vec<TerminalEvent> {
        let mut seen = Vec::new();
        while let Some(event) = terminal.output.next().await {
            seen.push(event.unwrap());
        }
        seen
    }

    /// A command whose mark is `4711`, to its end.
    async fn command(
        has_pty: bool,
        script: impl IntoIterator<Item = TerminalEvent>,
    ) -> Result<Vec<TerminalEvent>, StageError> {
        let (container, user) = (ContainerShell::new("web".parse().unwrap()), OsUser::default());
        let place = Place { container: &container, user: &user };
        Ok(rest(running(terminal(script), "4711", has_pty, COMMAND_START_TIMEOUT, place).await?).await)
    }

    #[tokio::test]
    async fn the_mark_parts_what_is_the_engines_from_what_is_the_commands() {
        let none = "Error: No such container: web\n";
        let told = command(false, [err("47"), out("1"), err("11\n"), err(none), exit(1)]).await.unwrap();
        assert_eq!(told, [out("1"), err(none), exit(1)], "the words and the status are the command's own");
        let told = command(false, [err("emulated\n4711\nwords\n"), exit(0)]).await.unwrap();
        assert_eq!(told, [err("words\n"), exit(0)]);
        let told = command(true, [out("4711\r\nwords\r\n"), exit(127)]).await.unwrap();
        assert_eq!(told, [out("words\r\n"), exit(127)]);
        assert_eq!(command(false, [err(none), exit(1)]).await.unwrap_err().fault(), Fault::NotFound);
        // Nothing that is known, and still no command ran.
        for code in [0, 1, 5] {
            let error = command(false, [err("something\n"), exit(code)]).await.unwrap_err();
            assert_eq!(error.fault(), Fault::Remote, "{code}");
        }
        assert_eq!(command(false, []).await.unwrap_err().fault(), Fault::Remote);
    }

    #[tokio::test]
    async fn what_was_read_ahead_is_not_lost_with_a_future_that_nobody_polled() {
        let (container, user) = (ContainerShell::new("web".parse().unwrap()), OsUser::default());
        let place = Place { container: &container, user: &user };
        let script = [out("1"), err("4711\n"), out("2"), exit(0)];
        let mut terminal =
            running(terminal(script), "4711", false, COMMAND_START_TIMEOUT, place).await.unwrap();
        drop(terminal.output.next());
        assert_eq!(rest(terminal).await, [out("1"), out("2"), exit(0)]);
    }

    #[tokio::test]
    async fn an_engine_that_says_nothing_is_given_up() {
        struct Silence;
        impl Output for Silence {
            fn next(&mut self) -> BoxFuture<'_, Option<Event>> {
                Box::pin(std::future::pending())
            }
        }
        let terminal =
            Terminal { input: Box::new(Deaf), output: Box::new(Silence), control: Box::new(Unmoved) };
        let (container, user) = (ContainerShell::new("web".parse().unwrap()), OsUser::default());
        let place = Place { container: &container, user: &user };
        let error = running(terminal, "4711", false, Duration::from_millis(20), place).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Timeout);
    }

    async fn run(said: &[&'static str], code: Option<u32>) -> Result<Vec<TerminalEvent>, StageError> {
        let script = said.iter().map(|text| out(text)).chain(code.map(exit));
        let (container, user) = (ContainerShell::new("web".parse().unwrap()), OsUser::default());
        let place = Place { container: &container, user: &user };
        Ok(rest(started(terminal(script), place).await?).await)
    }

    #[tokio::test]
    async fn an_engine_that_opens_nothing_says_what_to_do() {
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
    async fn a_users_own_words_and_status_stay_the_users() {
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
