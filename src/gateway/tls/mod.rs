//! TLS with certificate files, which are reloaded when they change.

mod expiry;
mod pair;

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::linger::Closing;
use crate::telemetry::metrics::Metrics;

use pair::Stamp;
pub use pair::{Pair, TlsError, TlsFiles};

/// The first byte of a TLS connection: a handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The response to plain HTTP on a TLS port.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\nThis port speaks HTTPS: use https://\n";

/// The default interval between checks of the files.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The certificate of new connections. A new certificate applies to later connections; open ones continue.
#[derive(Debug)]
pub struct Tls {
    current: RwLock<Arc<Pair>>,
    /// The state of the files when they were last read, valid or not.
    seen: Mutex<Stamp>,
    handshake_timeout: Duration,
    look_every: Duration,
    metrics: Metrics,
}

impl Tls {
    /// Accepts connections with `pair`. The handshake must complete within `handshake_timeout`.
    #[must_use]
    pub fn new(pair: Pair, handshake_timeout: Duration, metrics: Metrics) -> Self {
        let tls = Self {
            seen: Mutex::new(pair.stamp()),
            current: RwLock::new(Arc::new(pair)),
            handshake_timeout,
            look_every: LOOK_EVERY,
            metrics,
        };
        tls.tell();
        tls
    }

    /// Sets the interval between checks of the files; the default is a minute.
    #[must_use]
    pub fn looking_every(mut self, look_every: Duration) -> Self {
        self.look_every = look_every;
        self
    }

    /// Switches to `pair`.
    pub fn replace(&self, pair: Pair) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = pair.stamp();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
        self.count("applied");
        self.tell();
    }

    fn current(&self) -> Arc<Pair> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, outcome: &str) {
        self.metrics.reloads.with_label_values(&["certificate", outcome]).inc();
    }

    /// Logs the expiry of the certificate.
    fn tell(&self) {
        let pair = self.current();
        let Some(end) = pair.not_after() else { return };
        #[allow(clippy::cast_precision_loss, reason = "exact up to the year 9999")]
        self.metrics.certificate_not_after.set(end.as_unix() as f64);
        let certificate = pair.files().cert.display();
        if pair.is_over() {
            tracing::error!(%certificate, not_after = end.rfc3339(), "the certificate has expired");
        } else {
            tracing::info!(%certificate, not_after = end.rfc3339(), "certificate");
        }
    }

    /// Checks the files periodically, and switches to their content if it changed and is valid.
    pub(super) async fn follow(&self) -> std::convert::Infallible {
        loop {
            sleep(self.look_every).await;
            let files = self.current().files().clone();
            let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let look = move || {
                let stamp = Stamp::of(&files);
                (stamp != seen).then(|| (stamp, Pair::load(&files)))
            };
            match tokio::task::spawn_blocking(look).await {
                Ok(Some((_, Ok(pair)))) => self.replace(pair),
                Ok(Some((stamp, Err(error)))) => {
                    // Once per change: a partial write changes again.
                    *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
                    self.count("failed");
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(
                        error,
                        "the certificate on disk cannot be used; the previous one stays in use"
                    );
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// Accepts TLS on `stream`; `None` if the handshake fails.
    pub(super) async fn accept(&self, mut stream: Closing) -> Option<TlsStream<Closing>> {
        let acceptor = TlsAcceptor::from(Arc::clone(self.current().config()));
        let attempt = async {
            let mut first = [0];
            let speaks = stream.peek(&mut first).await?;
            if speaks == 1 && first != [HANDSHAKE] {
                // A lingering close, so that the response arrives.
                stream.write_all(PLAIN).await?;
                return Ok(Err("plain"));
            }
            acceptor.accept(stream).await.map(Ok)
        };
        let (outcome, stream) = match timeout(self.handshake_timeout, attempt).await {
            Ok(Ok(Ok(stream))) => ("completed", Some(stream)),
            Ok(Ok(Err(outcome))) => (outcome, None),
            Ok(Err(error)) => {
                let _: &io::Error = &error;
                tracing::debug!(%error, "the TLS handshake failed");
                ("failed", None)
            }
            Err(_) => ("timeout", None),
        };
        self.metrics.tls_handshakes.with_label_values(&[outcome]).inc();
        stream
    }
}
