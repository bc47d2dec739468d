//! The addresses and errors of forwarded connections.

use std::fmt;
use std::time::Duration;

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
