//! Runs a command on the instance to completion.

use std::time::Duration;

use tokio::time::timeout;

use crate::connect::host::SshHost;
use crate::model::{Exit, Fault, Stage, StageError, StageObserver, TerminalEvent};
use crate::ssh::ChannelRequest;

/// The time limit of a command.
const RUN_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of its output that are kept.
const MAX_SAID: usize = 1024;

/// A completed command.
pub(super) struct Ran {
    pub(super) exit: Exit,
    /// The beginning of its output, of both streams.
    pub(super) said: String,
}

/// Runs `request` to completion. When this returns, nothing of it is left, even if it was ended by the time
/// limit.
pub(super) async fn run(
    host: &SshHost,
    request: &ChannelRequest,
    observer: &dyn StageObserver,
) -> Result<Ran, StageError> {
    let mut terminal = host.open_channel(request, observer).await?;
    let mut ran = Ran { exit: Exit::Unknown, said: String::new() };
    let reading = async {
        let mut said = Vec::new();
        while let Some(event) = terminal.output.next().await {
            match event {
                Ok(TerminalEvent::Output(bytes) | TerminalEvent::Stderr(bytes)) => {
                    let room = MAX_SAID.saturating_sub(said.len()).min(bytes.len());
                    said.extend_from_slice(bytes.get(..room).unwrap_or_default());
                }
                Ok(TerminalEvent::Exit(exit)) => ran.exit = exit,
                Err(error) => return Err(error),
            }
        }
        ran.said = String::from_utf8_lossy(&said).trim().to_owned();
        Ok(())
    };
    let ended = timeout(RUN_TIMEOUT, reading).await;
    terminal.control.close().await;
    match ended {
        Ok(Ok(())) => Ok(ran),
        Ok(Err(error)) => {
            let message = "the connection broke while a command ran";
            Err(StageError::new(Stage::Shell, Fault::Network, message)
                .with_hint("try again; read sshd's log on the instance")
                .with_source(error))
        }
        Err(_) => {
            let message = format!("a command did not end within {} s", RUN_TIMEOUT.as_secs());
            let hint = format!("check the load of {}, and what its login shell runs", host.peer().instance);
            Err(StageError::new(Stage::Shell, Fault::Timeout, message).with_hint(hint))
        }
    }
}
