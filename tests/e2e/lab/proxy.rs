//! A proxy that keeps where it was asked to go.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Where a proxy was asked to go, in order.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    pub(crate) fn note(&self, to: &str) {
        self.0.lock().unwrap().push(to.to_owned());
    }
}

/// A listener on loopback whose connections are led on as it was told.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    asked: Asked,
    task: AbortHandle,
}

impl Proxy {
    /// Has `serve` take each connection, which notes where it was asked to go.
    pub(crate) async fn start<F, W>(serve: F) -> Self
    where
        F: Fn(TcpStream, Asked) -> W + Send + 'static,
        W: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Asked::default();
        let keep = asked.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, keep.clone()));
            }
        });
        Self { addr, asked, task: task.abort_handle() }
    }

    /// Where it was asked to go since this was asked the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.0.lock().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
