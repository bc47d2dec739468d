//! Forwarded connections: out through the server, back from where it listens, and its users' way to our agent.
//!
//! A forwarded connection is lossless and held up by its reader, within bounds: [`CHUNK_QUEUE`](stream) messages
//! wait for it. Beyond that the implementation below has no way to hold up one channel alone: it grants the server
//! new window when data arrives, not when they are read, and so the whole connection waits
//! ([`Connection::is_stalled`] says so). Whoever forwards for several readers therefore gives them a connection of
//! their own, apart from terminals, and another one when that is stalled.

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

/// Where a forwarded connection goes, or where the server listens for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardAddress {
    /// A TCP port.
    Tcp {
        /// A name or an address, for the side that it belongs to to resolve. To listen: `localhost` is the
        /// loopback, empty is every address (RFC 4254, section 7.1).
        host: String,
        /// The port. To listen, 0 is one that the server chooses.
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

/// Why a connection is not forwarded, or the server does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The server's configuration forbids it.
    #[error("the server does not allow it")]
    Prohibited,
    /// The server could not connect: nobody listens there, or the name or the way to it is not known.
    #[error("the server cannot connect to it")]
    Unreachable,
    /// The server has no resources left for it.
    #[error("the server has no room for another connection")]
    Busy,
    /// The server does not listen: it is forbidden, or the address is in use or not the server's. It does not say
    /// which.
    #[error("the server does not listen there")]
    NotListening,
    /// No answer came in time.
    #[error("no answer within {} s", .after.as_secs_f32())]
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// The SSH connection is gone.
    #[error("the SSH connection was closed{}", .reason.as_deref().map(|why| format!(" ({why})")).unwrap_or_default())]
    Closed {
        /// Why, where that is known.
        reason: Option<String>,
    },
}

impl Connection {
    /// Connects through the server to `to`, on behalf of a client at `from` where there is one.
    ///
    /// Waits as long as the server tries, which with TCP is about two minutes. The future is to be driven to its
    /// end: dropped before, the server may connect and hold a connection that nobody uses.
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
                // RFC 4254, section 7.2, wants an originator; a Unix socket's client has none.
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

    /// Asks the server to listen at `at`, and takes the connections that are made there.
    ///
    /// What nobody takes is refused, and so is everything once the [`Offering`] is dropped; the server goes on
    /// listening until the connection ends.
    ///
    /// # Errors
    /// [`ForwardError::NotListening`], a timeout or [`ForwardError::Closed`].
    pub async fn listen(&self, at: &ForwardAddress) -> Result<Offering, ForwardError> {
        // One at a time: until the port that the server chose is known, a connection to it can only be told from
        // those to other ports.
        let _turn = self.offers().turn().await;
        // Before the server is asked: its first connection may come right behind its answer.
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

    /// Lets what runs in the sessions that are opened from now on use our agent: each of their connections to it
    /// is offered here. Off until this is called.
    #[must_use]
    pub fn offer_agent(&self) -> Offering {
        self.offers().agent()
    }

    /// Whether the connection waits for somebody to read a forwarded connection, and carries nothing else
    /// meanwhile.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.link().is_stalled()
    }

    fn is_gone(&self) -> ForwardError {
        ForwardError::Closed { reason: self.link().reason() }
    }
}
