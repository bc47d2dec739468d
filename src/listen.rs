//! L1 · Accepting TCP connections, and the limit of open files that bounds them.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// How long accepting pauses when the system is out of files or memory.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// Raises the soft limit of open files to the hard one. The soft limit is 1,024 on most systems, for programs that call
/// `select`; this one does not.
pub(crate) fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// Returns how many files this process may have open; `None` if any number.
pub(crate) fn file_limit() -> Option<usize> {
    getrlimit(Resource::Nofile).current.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Accepts a connection of `listener`, with TCP_NODELAY set. Cancel safe.
///
/// # Errors
/// The system's.
pub(crate) async fn try_accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    Ok((stream, peer))
}

/// Accepts connections as [`try_accept`] does, and retries after an error. Cancel safe.
///
/// When the system is out of files or memory it logs a warning and retries every [`PAUSE`]; connections wait in the
/// system's queue meanwhile.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match try_accept(listener).await {
            Ok(accepted) => return accepted,
            Err(error) => on_accept_error(&error).await,
        }
    }
}

/// Returns whether `error` means that no more files can be opened.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Handles a failed accept: returns at once if only that connection failed, otherwise logs and pauses.
pub(crate) async fn on_accept_error(error: &io::Error) {
    use ErrorKind as K;
    if !matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused) {
        tracing::warn!(%error, "cannot accept a connection");
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn accepted_connection_has_no_nagle() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = accept(&listener).await;
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn only_system_errors_pause() {
        assert!(on_accept_error(&ErrorKind::ConnectionAborted.into()).now_or_never().is_some());
        let too_many_open_files = io::Error::from_raw_os_error(24);
        assert!(on_accept_error(&too_many_open_files).now_or_never().is_none());
        assert!(is_out_of_files(&too_many_open_files));
        assert!(!is_out_of_files(&ErrorKind::ConnectionAborted.into()));
    }
}
