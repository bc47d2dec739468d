//! The errors of starting an emulator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file of the state directory cannot be created or read.
    #[error("cannot use {}", path.display())]
    State {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A certificate cannot be created.
    #[error("cannot create the tunnel's certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS rejected the certificate.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// A host key cannot be created or read.
    #[error("cannot create a host key")]
    HostKey(#[source] russh::keys::Error),
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
}
