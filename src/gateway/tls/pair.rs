//! A certificate and its key, read from files.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use eice_proto::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};

use super::expiry::not_after;

/// The largest file that is read, in bytes.
const MAX_LEN: u64 = 1 << 20;

/// The files of a certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate, then its chain.
    pub cert: PathBuf,
    /// The key: PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Returns these files.
    #[must_use]
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { cert: cert.into(), key: key.into() }
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file lacks the required PEM section.
    #[error("there is no {what} in {path}")]
    Pem {
        /// The missing section: a certificate, a private key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// Certificate and key do not match, or their kind is not supported.
    #[error("the certificate in {cert} cannot be used with the key in {key}")]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The cause.
        source: rustls::Error,
    },
}

/// A certificate and its matching key.
#[derive(Clone, Debug)]
pub struct Pair {
    files: TlsFiles,
    stamp: Stamp,
    config: Arc<ServerConfig>,
    not_after: Option<Timestamp>,
}

impl Pair {
    /// Reads `files`: TLS 1.2 and 1.3, HTTP/1.1.
    ///
    /// # Errors
    /// [`TlsError`] if they cannot be read or do not match. An expired certificate is not an error.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        // Before reading: a concurrent change is seen by the next check.
        let stamp = Stamp::of(files);
        let missing = |what, path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Pem { what, path, source }
        };
        let cert_pem = read(&files.cert)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&cert_pem)
            .collect::<Result<_, _>>()
            .map_err(missing("certificate", &files.cert))?;
        let first = chain.first().ok_or(pem::Error::NoItemsFound);
        let not_after = not_after(first.map_err(missing("certificate", &files.cert))?);
        let key_pem = zeroize::Zeroizing::new(read(&files.key)?);
        let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(missing("private key", &files.key))?;
        let unfit = |source| TlsError::Pair { cert: files.cert.clone(), key: files.key.clone(), source };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(unfit)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unfit)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files: files.clone(), stamp, config: Arc::new(config), not_after })
    }

    /// Returns the files they were read from.
    pub(super) fn files(&self) -> &TlsFiles {
        &self.files
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(super) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Returns the expiry of the certificate, if it can be parsed.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    /// Returns whether it has expired.
    pub(super) fn is_over(&self) -> bool {
        self.not_after.is_some_and(|end| end < Timestamp::from(SystemTime::now()))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let whole = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_LEN {
            return Err(io::Error::other(format!("it is larger than {MAX_LEN} bytes")));
        }
        Ok(bytes)
    };
    whole().map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// The metadata of both files; it differs when one was written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<(i64, i64, u64, u64)>; 2]);

impl Stamp {
    pub(super) fn of(files: &TlsFiles) -> Self {
        Self([&files.cert, &files.key].map(|path| {
            // Follow links: orchestrators replace the link of a whole folder.
            let found = fs::metadata(path).ok()?;
            Some((found.mtime(), found.mtime_nsec(), found.ino(), found.len()))
        }))
    }
}
