//! A proxy that records its targets.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// The targets that clients requested, in order.
#[derive(Clone, Default)]
pub(crate) struct ProxyLog(Arc<Mutex<Vec<String>>>);

impl ProxyLog {
    pub(crate) fn record(&self, target: &str) {
        self.0.lock().unwrap().push(target.to_owned());
    }
}

/// A proxy on a loopback port.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    log: ProxyLog,
    task: AbortHandle,
}

impl Proxy {
    /// Starts a proxy whose connections are served by `serve`, which records their targets.
    pub(crate) async fn start<F, W>(serve: F) -> Self
    where
        F: Fn(TcpStream, ProxyLog) -> W + Send + 'static,
        W: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let log = ProxyLog::default();
        let shared = log.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { addr, log, task: task.abort_handle() }
    }

    /// Returns the targets since the last call.
    pub(crate) fn take_targets(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.0.lock().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
