//! What the SSH implementation calls back on.

use std::sync::{Arc, PoisonError};

use russh::Channel;
use russh::client::{self, ChannelOpenHandle, DisconnectReason, Msg, Session};
use russh::keys::PublicKeyOrCertificate;

use super::link::Link;

/// Notes what the server shows and how it ends, and refuses whatever it asks of us. Nothing here waits: it runs
/// inside the connection's task.
pub(super) struct Handler(Arc<Link>);

impl Handler {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self(link)
    }
}

/// The implementation accepts channels that a server opens unless it is told otherwise; a dropped answer is a
/// refusal. No server has a reason to open one: nothing is ever forwarded to us.
fn refuse(answer: ChannelOpenHandle) -> Result<(), russh::Error> {
    drop(answer);
    Ok(())
}

impl client::Handler for Handler {
    type Error = russh::Error;

    /// Called after the exchange's signature is verified. The key is judged by the handshake, before anything
    /// is sent under it.
    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                *self.0.offered.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
                Ok(true)
            }
            PublicKeyOrCertificate::Certificate(_) => Ok(false),
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.0.ended(format!("the server says: {}", info.message));
            }
            DisconnectReason::Error(russh::Error::Disconnect) => {}
            DisconnectReason::Error(error) => self.0.ended(error.to_string()),
        }
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        answer: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(answer)
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        answer: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(answer)
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        answer: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(answer)
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        answer: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(answer)
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        answer: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(answer)
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        answer: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(answer)
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        answer: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(answer)
    }
}
