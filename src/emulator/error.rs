//! Why an emulator does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why an emulator does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the state directory cannot be made or read.
    #[error("cannot use {}", path.display())]
    State {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate cannot be made.
    #[error("cannot make the tunnel's certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS refuses the certificate.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// A host key cannot be made or read.
    #[error("cannot make a host key")]
    HostKey(#[source] russh::keys::Error),
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
}
