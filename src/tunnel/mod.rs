//! L2 · The tunnel: proxy, TLS and WebSocket, and the I/O around [`eice_proto::tunnel`].
//!
//! [`Dialer::dial`] turns a presigned URL into a [`Tunnel`], which is `AsyncRead + AsyncWrite`. Its [`TunnelStatus`]
//! outlives it and reports why it ended: the endpoint reports an unreachable target only then.

mod config;
mod dial;
mod error;
mod head;
mod lower;
mod proxy;
mod status;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;
mod through;
mod tls;
mod upgrade;

pub use config::{Config, DialTimeouts};
pub use dial::Dialer;
pub use eice_proto::tunnel::CloseReason;
pub use error::{ClockSkew, Error, ProxyFault, TlsFault};
pub use proxy::{InvalidProxy, Proxy, ProxyConfig, ProxyScheme};
pub use status::TunnelStatus;
pub use stream::{MAX_MESSAGE, Tunnel};
