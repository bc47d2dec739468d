//! Builds what the verbs use, from their arguments or from an emulator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use tokio::net::TcpListener;

use super::exit;
use super::failure::Failure;
use super::target::AwsArgs;
use crate::emulator::Access;
use crate::terminal::{Connect, Fault, Host, Stage, StageError, StageObserver, Target};

/// What to do with a host key that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HostKeyArg {
    /// Only keys that are known already
    Strict,
    /// Trust on first use: keep it, and refuse another one from then on
    Tofu,
}

/// How host keys are checked.
#[derive(Clone, Debug)]
pub(crate) struct HostKeyOptions {
    pub(crate) policy: HostKeyArg,
    pub(crate) file: Option<PathBuf>,
}

struct NotYet;
impl Connect for NotYet {
    fn connect<'a>(
        &'a self,
        _: &'a Target,
        _: &'a dyn StageObserver,
    ) -> futures_util::future::BoxFuture<'a, Result<Box<dyn Host>, StageError>> {
        Box::pin(async { Err(StageError::new(Stage::Tcp, Fault::Internal, "not built yet")) })
    }
}

/// A connector for the client verbs.
pub(crate) fn client_connector(_aws: &AwsArgs, _keys: &HostKeyOptions) -> Result<Arc<dyn Connect>, Failure> {
    Ok(Arc::new(NotYet))
}

/// A connector to an emulator of this process.
pub(crate) fn emulated_connector(_access: &Access) -> Result<Arc<dyn Connect>, Failure> {
    Ok(Arc::new(NotYet))
}

/// Listens on `address`.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::because(exit::UNAVAILABLE, format!("cannot listen on {address}"), &error);
        match error.kind() {
            io::ErrorKind::AddrInUse => failure.with_hint("port 0 takes a free one"),
            _ => failure,
        }
    })
}

/// The address that a listener got.
pub(crate) fn local_addr(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::because(exit::INTERNAL, "the listener has no address", &error))
}
