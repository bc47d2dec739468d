//! Waits for an exec to start.

use super::client::Client;
use super::error::EngineError;
use super::find::Container;
use super::output::ExecReader;
use crate::model::{Exit, Fault, Stage, StageError, TerminalEvent};

/// The most bytes of an exec's error output that are kept.
const MAX_ERROR_OUTPUT: usize = 4096;

/// Why an exec did not start.
#[derive(Debug)]
pub(super) enum NotStarted {
    Engine(EngineError),
    /// It exited before its first line, with this output.
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

/// Reads the exec's output until `find` matches and returns the match. Output before the match is the engine's;
/// output after it is read again.
pub(super) async fn wait_for<T>(
    client: &Client,
    exec: &str,
    reader: &mut ExecReader,
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
        let surplus = said.len().saturating_sub(MAX_ERROR_OUTPUT);
        said.drain(..surplus);
    }
}

impl NotStarted {
    pub(super) fn into_stage_error(self, container: &Container) -> StageError {
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
            (true, None) => "there was no output".to_owned(),
        };
        StageError::new(Stage::Shell, Fault::Remote, message).with_hint(hint).with_source(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_shell_is_recognized() {
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
