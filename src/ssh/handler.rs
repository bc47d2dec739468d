//! The callbacks of the SSH implementation.

use std::sync::{Arc, PoisonError};

use russh::Channel;
use russh::client::{self, ChannelOpenHandle, DisconnectReason, Msg, Session};
use russh::keys::PublicKeyOrCertificate;

use super::forward::{ForwardAddress, ForwardListeners, IncomingForward};
use super::transport::Transport;

/// Records the server's key and how the connection ends, passes on forwarded connections, and refuses everything else
/// that the server requests. Nothing here waits: it runs in the connection's task.
pub(super) struct Handler {
    transport: Arc<Transport>,
    listeners: Arc<ForwardListeners>,
}

impl Handler {
    pub(super) fn new(transport: Arc<Transport>, listeners: Arc<ForwardListeners>) -> Self {
        Self { transport, listeners }
    }

    fn incoming(&self, channel: Channel<Msg>, answer: ChannelOpenHandle, from: String) -> IncomingForward {
        IncomingForward::new(channel, answer, Arc::clone(&self.transport), from)
    }
}

/// Refuses a channel: the implementation accepts a server's channels by default, and a dropped answer refuses.
fn refuse(answer: ChannelOpenHandle) -> Result<(), russh::Error> {
    drop(answer);
    Ok(())
}

impl client::Handler for Handler {
    type Error = russh::Error;

    /// Called after the exchange's signature is verified. The handshake checks the key before anything is sent under
    /// it.
    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                *self.transport.offered.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
                Ok(true)
            }
            PublicKeyOrCertificate::Certificate(_) => Ok(false),
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.transport.ended(format!("the server says: {}", info.message));
            }
            DisconnectReason::Error(russh::Error::Disconnect) => {}
            DisconnectReason::Error(error) => self.transport.ended(error.to_string()),
        }
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        from: &str,
        from_port: u32,
        answer: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let Ok(port) = u16::try_from(port) else { return refuse(answer) };
        let incoming = self.incoming(channel, answer, format!("{from} port {from_port}"));
        self.listeners.deliver(&ForwardAddress::Tcp { host: host.to_owned(), port }, incoming).await;
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        answer: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let incoming = self.incoming(channel, answer, path.to_owned());
        self.listeners.deliver(&ForwardAddress::Socket(path.to_owned()), incoming).await;
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        answer: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let incoming = self.incoming(channel, answer, "the instance".to_owned());
        self.listeners.deliver_to_agent(incoming).await;
        Ok(())
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
