//! Forwarded connections: out through the server, in from where it listens, and to our agent from the server.
//!
//! A forwarded connection is lossless and bounded: at most [`CHUNK_QUEUE`](stream) messages wait for its reader.
//! Beyond that the SSH implementation cannot stall one channel alone: it grants the server new window when data arrives,
//! not when it is read, so the whole connection waits ([`Connection::is_stalled`] reports that). A caller with several
//! readers therefore uses connections without terminals, and another connection when one is stalled.

mod offer;
mod stream;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::ChannelOpenFailure;

pub(super) use offer::Offers;
pub use offer::{Offer, Offering};
pub use stream::ForwardStream;

use super::Connection;

/// The target of a forwarded connection, or the address where the server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardAddress {
    /// A TCP port.
    Tcp {
        /// A name or an address, resolved by the connecting side. To listen: `localhost` is the loopback, empty is every
        /// address (RFC 4254, section 7.1).
        host: String,
        /// The port. To listen, 0 lets the server choose.
        port: u16,
    },
    /// A Unix socket, by its path (OpenSSH's PROTOCOL, section 2.4).
    Socket(String),
}

impl fmt::Display for ForwardAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.is_empty() => write!(f, "*:{port}"),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => f.write_str(path),
        }
    }
}

/// Why a connection was not forwarded, or the server does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The server's configuration forbids it.
    #[error("the server does not allow it")]
    Prohibited,
    /// The server could not connect: nothing listens there, or the name or the route is unknown.
    #[error("the server cannot connect to it")]
    Unreachable,
    /// The server is out of resources.
    #[error("the server cannot take another connection")]
    Busy,
    /// The server does not listen: it is forbidden, or the address is in use or not the server's. The server does not
    /// say which.
    #[error("the server does not listen there")]
    NotListening,
    /// The server did not answer in time.
    #[error("no answer within {} s", .after.as_secs_f32())]
    Timeout {
        /// The timeout.
        after: Duration,
    },
    /// The SSH connection was closed.
    #[error("the SSH connection was closed{}", .reason.as_deref().map(|why| format!(" ({why})")).unwrap_or_default())]
    Closed {
        /// The reason, if it is known.
        reason: Option<String>,
    },
}

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
        Ok(ForwardStream::start(channel, Arc::clone(self.link())))
    }

    /// Asks the server to listen at `at` and accepts the connections made there.
    ///
    /// Connections beyond the queue are refused, and so is every one once the listener is dropped; the server continues to
    /// listen until the connection ends.
    ///
    /// # Errors
    /// [`ForwardError::NotListening`], a timeout or [`ForwardError::Closed`].
    pub async fn listen(&self, at: &ForwardAddress) -> Result<Offering, ForwardError> {
        // One at a time: until the chosen port is known, its connections can only be distinguished from those of other
        // ports.
        let _turn = self.offers().turn().await;
        // Register first: a connection may arrive right after the server's answer.
        let mut offering = self.offers().listen(at);
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
            offering.is_at_port(chosen);
        }
        Ok(offering)
    }

    /// Lets processes in sessions opened from now on use our agent: the returned listener yields their connections. Off
    /// until this is called.
    #[must_use]
    pub fn offer_agent(&self) -> Offering {
        self.offers().agent()
    }

    /// Returns whether a forwarded connection that is not read stalls this connection.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.link().is_stalled()
    }

    fn is_gone(&self) -> ForwardError {
        ForwardError::Closed { reason: self.link().reason() }
    }
}
