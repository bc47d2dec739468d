//! The state that the parts of one channel share.

use std::io;
use std::sync::OnceLock;

use russh::ChannelWriteHalf;
use russh::client::Msg;
use tokio_util::sync::CancellationToken;

use crate::model::Exit;

/// The sending half of a channel.
pub(super) type Requests = ChannelWriteHalf<Msg>;

/// The state shared by a channel's task and its users.
#[derive(Debug, Default)]
pub(super) struct ChannelState {
    /// Cancelled to close the channel.
    pub(super) closing: CancellationToken,
    /// Cancelled when the channel is closed; its output may still be read.
    pub(super) ended: CancellationToken,
    /// Cancelled when nothing of the channel is left at the remote, or nothing more can be done about it.
    pub(super) cleared: CancellationToken,
    pub(super) outcome: OnceLock<Result<Exit, String>>,
}

impl ChannelState {
    /// Returns how the channel ended: an exit, or a broken connection.
    pub(super) fn outcome(&self) -> io::Result<Exit> {
        match self.outcome.get() {
            Some(Ok(exit)) => Ok(exit.clone()),
            Some(Err(text)) => Err(io::Error::new(io::ErrorKind::ConnectionReset, text.clone())),
            None => Err(io::Error::other("the channel's task ended early")),
        }
    }
}
