//! Opens forwarded connections and listeners on a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use russh::ChannelOpenFailure;

use super::{ForwardAddress, ForwardError, ForwardListener, ForwardStream};
use crate::ssh::Connection;

impl Connection {
    /// Connects through the server to `to`, on behalf of a client at `from` if there is one.
    ///
    /// Waits as long as the server tries, which with TCP is about two minutes. Drive the future to completion: if it is
    /// dropped earlier, the server may keep a connection that is never used.
    ///
    /// # Errors
    /// [`ForwardError::Prohibited`], [`ForwardError::Unreachable`], [`ForwardError::Busy`] or
    /// [`ForwardError::Closed`].
    pub async fn forward(
        &self,
        to: &ForwardAddress,
        from: Option<SocketAddr>,
    ) -> Result<ForwardStream, ForwardError> {
        let handle = self.handle();
        let opened = match to {
            ForwardAddress::Tcp { host, port } => {
                // RFC 4254, section 7.2, requires an originator; a Unix socket's client has none.
                let (ip, from) = from
                    .map_or_else(|| ("127.0.0.1".to_owned(), 0), |from| (from.ip().to_string(), from.port()));
                handle.channel_open_direct_tcpip(host, u32::from(*port), ip, u32::from(from)).await
            }
            ForwardAddress::Socket(path) => handle.channel_open_direct_streamlocal(path).await,
        };
        let channel = opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed) => ForwardError::Unreachable,
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::ResourceShortage) => ForwardError::Busy,
            russh::Error::ChannelOpenFailure(_) => ForwardError::Prohibited,
            _ => self.is_gone(),
        })?;
        Ok(ForwardStream::start(channel, Arc::clone(self.transport())))
    }

    /// Asks the server to listen at `at` and accepts the connections made there.
    ///
    /// Connections beyond the queue are refused, and so is every one once the listener is dropped; the server continues to
    /// listen until the connection ends.
    ///
    /// # Errors
    /// [`ForwardError::NotListening`], a timeout or [`ForwardError::Closed`].
    pub async fn listen(&self, at: &ForwardAddress) -> Result<ForwardListener, ForwardError> {
        // One at a time: until the chosen port is known, its connections can only be distinguished from those of other
        // ports.
        let _turn = self.listeners().turn().await;
        // Register first: a connection may arrive right after the server's answer.
        let mut listener = self.listeners().listen(at);
        let after = self.config().timeouts.channel;
        let asking = async {
            match at {
                ForwardAddress::Tcp { host, port } => {
                    self.handle().tcpip_forward(host, u32::from(*port)).await
                }
                ForwardAddress::Socket(path) => self.handle().streamlocal_forward(path).await.map(|()| 0),
            }
        };
        let answer =
            tokio::time::timeout(after, asking).await.map_err(|_| ForwardError::Timeout { after })?;
        let chosen = answer.map_err(|error| match error {
            russh::Error::RequestDenied => ForwardError::NotListening,
            _ => self.is_gone(),
        })?;
        if let Ok(chosen @ 1..) = u16::try_from(chosen) {
            listener.is_at_port(chosen);
        }
        Ok(listener)
    }

    /// Lets processes in sessions opened from now on use our agent: the returned listener yields their connections. Off
    /// until this is called.
    #[must_use]
    pub fn offer_agent(&self) -> ForwardListener {
        self.listeners().agent()
    }

    /// Returns whether a forwarded connection that is not read stalls this connection.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.transport().is_stalled()
    }

    fn is_gone(&self) -> ForwardError {
        ForwardError::Closed { reason: self.transport().reason() }
    }
}
