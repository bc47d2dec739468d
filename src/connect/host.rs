//! An SSH connection as a [`Host`].

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::container_start::{self, EngineContext};
use super::explain::{self, PeerContext};
use crate::docker::{InvalidCommand, TerminalMarker, exec_command, watcher_command};
use crate::model::{
    Fault, Host, HostIds, Shell, Stage, StageError, StageObserver, Terminal, TerminalRequest,
};
use crate::ssh::{
    ChannelRequest, Connection, ForwardAddress, ForwardError, ForwardListener, ForwardStream, Pty,
};

/// An SSH connection to an instance.
pub struct SshHost {
    connection: Connection,
    shell: Shell,
    ids: HostIds,
    peer: PeerContext,
}

impl fmt::Debug for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshHost").field("ids", &self.ids).finish_non_exhaustive()
    }
}

impl SshHost {
    pub(super) fn new(connection: Connection, shell: Shell, ids: HostIds, peer: PeerContext) -> Self {
        Self { connection, shell, ids, peer }
    }

    /// Opens the terminal that `request` describes.
    ///
    /// A terminal in a container has a watcher on a second channel. It ends what the container engine leaves
    /// behind when the terminal ends, is closed or dropped, or when the connection breaks.
    ///
    /// # Errors
    /// Errors of the stages channel and shell. An engine that cannot open the container is distinguished from a
    /// shell that exits at once.
    pub async fn open(
        &self,
        request: &TerminalRequest,
        observer: &dyn StageObserver,
    ) -> Result<Terminal, StageError> {
        let shell = request.shell.as_ref().unwrap_or(&self.shell);
        let marker = TerminalMarker::random();
        let channel = channel_request(shell, request, &marker).map_err(|error| {
            StageError::new(Stage::Shell, Fault::Usage, error.to_string())
                .with_hint("correct the container settings of the workspace")
        })?;
        let terminal = self
            .connection
            .open(&channel, observer)
            .await
            .map_err(|error| explain::from_ssh(error, &self.peer))?;
        match shell {
            Shell::Container(container) => {
                let context = EngineContext { container, user: &self.peer.os_user };
                match &container.command {
                    None => container_start::wait_for_shell(terminal, context).await,
                    Some(_) => {
                        let (mark, timeout) = (marker.value(), container_start::COMMAND_START_TIMEOUT);
                        container_start::wait_for_command(terminal, &mark, request.pty, timeout, context)
                            .await
                    }
                }
            }
            _ => Ok(terminal),
        }
    }

    /// Connects from the instance to `to`: see [`Connection::forward`].
    ///
    /// # Errors
    /// When the instance does not connect, or the connection is closed.
    pub async fn forward(
        &self,
        to: &ForwardAddress,
        from: Option<SocketAddr>,
    ) -> Result<ForwardStream, ForwardError> {
        self.connection.forward(to, from).await
    }

    /// Makes the instance listen at `at`: see [`Connection::listen`].
    ///
    /// # Errors
    /// When the instance does not listen, or the connection is closed.
    pub async fn listen(&self, at: &ForwardAddress) -> Result<ForwardListener, ForwardError> {
        self.connection.listen(at).await
    }

    /// Offers our agent to channels that are opened from now on: see [`Connection::offer_agent`].
    #[must_use]
    pub fn offer_agent(&self) -> ForwardListener {
        self.connection.offer_agent()
    }

    /// Returns whether the connection is blocked by the reader of a forwarded one: see
    /// [`Connection::is_stalled`].
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.connection.is_stalled()
    }

    /// Opens the channel that `request` describes, without adding a watcher or checking the engine.
    pub(super) async fn open_channel(
        &self,
        request: &ChannelRequest,
        observer: &dyn StageObserver,
    ) -> Result<Terminal, StageError> {
        self.connection.open(request, observer).await.map_err(|error| explain::from_ssh(error, &self.peer))
    }

    /// Returns where the connection goes.
    pub(super) fn peer(&self) -> &PeerContext {
        &self.peer
    }

    /// Returns whether the connection is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Resolves when the connection is closed, with the reason if it is known.
    pub async fn closed(&self) -> Option<String> {
        self.connection.closed().await
    }
}

fn channel_request(
    shell: &Shell,
    request: &TerminalRequest,
    marker: &TerminalMarker,
) -> Result<ChannelRequest, InvalidCommand> {
    let mut channel = ChannelRequest::default();
    if request.pty {
        channel.pty = Some(Pty { term: request.term.clone(), size: request.size });
    }
    channel.env.extend(request.lang.clone().map(|lang| ("LANG".to_owned(), lang)));
    match shell {
        Shell::Login => {}
        Shell::Command(command) => channel.command = Some(command.clone()),
        Shell::Container(container) => {
            channel.command = Some(exec_command(container, marker, request.pty)?);
            channel.watcher = Some(watcher_command(container, marker)?);
        }
    }
    Ok(channel)
}

impl Host for SshHost {
    fn open_terminal<'a>(
        &'a self,
        request: &'a TerminalRequest,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Terminal, StageError>> {
        Box::pin(self.open(request, observer))
    }

    fn ids(&self) -> HostIds {
        self.ids.clone()
    }

    fn round_trip(&self) -> BoxFuture<'_, Option<Duration>> {
        Box::pin(self.connection.round_trip())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.connection.close())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContainerShell;

    #[test]
    fn only_container_request_has_a_watcher() {
        let (request, marker) = (TerminalRequest::default(), TerminalMarker::random());
        let login = channel_request(&Shell::Login, &request, &marker).unwrap();
        assert!(login.command.is_none() && login.watcher.is_none() && login.pty.is_some());
        assert_eq!(login.env, [("LANG".to_owned(), "C.UTF-8".to_owned())]);

        let bare =
            channel_request(&Shell::Command("id".into()), &TerminalRequest::without_pty(), &marker).unwrap();
        assert_eq!((bare.command.as_deref(), bare.watcher, bare.pty), (Some("id"), None, None));

        let shell = Shell::Container(ContainerShell::new("web".parse().unwrap()));
        let channel = channel_request(&shell, &request, &marker).unwrap();
        let (command, watcher) = (channel.command.unwrap(), channel.watcher.unwrap());
        assert!(command.contains(&format!(" -e {marker} ")));
        assert!(watcher.ends_with(&format!(" {marker}")));
    }
}
