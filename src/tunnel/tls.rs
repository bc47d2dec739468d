//! TLS: the trusted roots, and the classification of failures.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::roots::roots;

use super::config::Config;
use super::error::{Error, TlsFault};

/// The maximum size of a CA bundle, in bytes; a full system store is about 230 KiB.
const MAX_CA_BUNDLE: u64 = 4 << 20;

/// The trusted roots. If there are others too, the usual ones are loaded on a thread from the start and awaited at
/// the first handshake: loading takes as long as several round trips.
#[derive(Clone)]
pub(super) struct Trust {
    /// The roots in addition to the usual ones.
    own: Arc<RootCertStore>,
    native_roots: bool,
    connector: Arc<OnceCell<TlsConnector>>,
}

impl Trust {
    /// Reads the roots that `config` names.
    ///
    /// # Errors
    /// The CA bundle cannot be read, or no root would be trusted.
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let mut own = RootCertStore::empty();
        for certificate in &config.extra_ca {
            own.add(certificate.clone()).map_err(|error| Error::TlsSetup(error.into()))?;
        }
        if let Some(path) = &config.ca_bundle {
            let failed = |source| Error::CaBundle { path: path.clone(), source };
            for certificate in read_ca_bundle(path).map_err(failed)? {
                own.add(certificate).map_err(|error| failed(error.into()))?;
            }
        }
        if own.is_empty() {
            // Checked before the first AWS request, whose client would only report an untrusted certificate.
            if !config.native_roots || roots().certificates.is_empty() {
                return Err(Error::NoRoots);
            }
        } else if config.native_roots {
            // If the thread cannot start, they are loaded when needed.
            let _ = std::thread::Builder::new().name("roots".into()).spawn(roots);
        }
        Ok(Self { own: Arc::new(own), native_roots: config.native_roots, connector: Arc::default() })
    }

    /// Returns a connector that trusts these roots. It offers no ALPN, like aws-cli's tunnel.
    ///
    /// # Errors
    /// [`Error::NoRoots`] if TLS can use none of the roots, or [`Error::TlsSetup`].
    pub(super) async fn connector(&self) -> Result<TlsConnector, Error> {
        let make = || async {
            let (own, native_roots) = (Arc::clone(&self.own), self.native_roots);
            tokio::task::spawn_blocking(move || connector(&own, native_roots))
                .await
                .unwrap_or_else(|error| Err(Error::TlsSetup(error.into())))
        };
        self.connector.get_or_try_init(make).await.cloned()
    }
}

fn connector(own: &RootCertStore, with_native_roots: bool) -> Result<TlsConnector, Error> {
    let mut trusted = own.clone();
    if with_native_roots {
        trusted.add_parsable_certificates(roots().certificates.iter().cloned());
    }
    if trusted.is_empty() {
        return Err(Error::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::TlsSetup(error.into()))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn read_ca_bundle(
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, Box<dyn std::error::Error + Send + Sync>> {
    if std::fs::metadata(path)?.len() > MAX_CA_BUNDLE {
        return Err(format!("it is larger than {MAX_CA_BUNDLE} bytes").into());
    }
    let pem = std::fs::read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() { Err("it holds no certificate".into()) } else { Ok(certificates) }
}

/// Starts TLS to `host` over `stream`; the host's name is sent and verified.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    connector: &TlsConnector,
    host: &str,
    stream: S,
) -> Result<TlsStream<S>, TlsError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| TlsError::Broken(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    connector.connect(name, stream).await.map_err(TlsError::from)
}

/// Why TLS failed: the peer is not trusted, or the connection broke.
#[derive(Debug)]
pub(super) enum TlsError {
    Tls(TlsFault, io::Error),
    Broken(io::Error),
}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return Self::Broken(error);
        };
        let fault = match tls {
            rustls::Error::InvalidCertificate(reason) => match reason {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    TlsFault::Name
                }
                // A bad signature means an authority of the same name with another key.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::Untrusted,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => TlsFault::Expired,
                _ => TlsFault::Invalid,
            },
            rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => TlsFault::NotTls,
            rustls::Error::AlertReceived(_) => TlsFault::Refused,
            _ => TlsFault::Invalid,
        };
        Self::Tls(fault, error)
    }
}
