//! The HTTP client of all AWS calls: one connection pool, the system roots and the CA bundle, proxies from the
//! environment.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::roots::{Roots, roots};

use super::error::AwsError;

/// Time limit for establishing a TCP and TLS connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit until the first byte of a response.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of a CA bundle, in bytes; a full system store is about 230 KiB.
const MAX_CA_BUNDLE: u64 = 4 << 20;

/// The HTTP client, for our own calls and for the SDK.
#[derive(Clone, Debug)]
pub(super) struct Http {
    pub(super) connector: SharedHttpConnector,
}

impl Http {
    /// Creates a client that trusts the default roots and those in `ca_bundle`.
    ///
    /// # Errors
    /// [`AwsError::CaBundle`] when the bundle cannot be read or has no valid root certificate.
    pub(super) async fn new(ca_bundle: Option<&Path>) -> Result<Self, AwsError> {
        let bundle = match ca_bundle {
            None => None,
            Some(path) => {
                let failed = |source| AwsError::CaBundle { path: path.to_owned(), source };
                Some(read_ca_bundle(path).await.map_err(failed)?)
            }
        };
        let empty_trust = TlsContext::builder().with_trust_store(TrustStore::empty()).build();
        let empty_trust = empty_trust
            .map_err(|source| AwsError::CaBundle { path: Path::new("").into(), source: source.into() })?;
        let plain = connector(ProxyConfig::disabled(), empty_trust);
        let switch = LoopbackBypass { bundle, plain, direct: OnceLock::new(), proxied: OnceLock::new() };
        Ok(Self { connector: SharedHttpConnector::new(switch) })
    }

    /// Returns the client for the SDK. It keeps the time limits of this file, whatever the SDK requests.
    pub(super) fn sdk_client(&self) -> SharedHttpClient {
        let connector = self.connector.clone();
        http_client_fn(move |_settings, _components| connector.clone())
    }
}

/// Returns a trust store of the default roots and the PEM `bundle`.
fn trust(defaults: &Roots, bundle: Option<&[u8]>) -> TrustStore {
    let mut store = if defaults.compiled_in {
        TrustStore::empty().with_pem_certificate(pem(&defaults.certificates))
    } else {
        // The SDK reads the system's roots itself.
        TrustStore::default()
    };
    if let Some(bundle) = bundle {
        store.add_pem_certificate(bundle);
    }
    store
}

/// Encodes `certificates` as PEM, the only form that the SDK accepts.
fn pem(certificates: &[CertificateDer<'_>]) -> Vec<u8> {
    let encoded = certificates.iter().map(|certificate| {
        let body = aws_smithy_types::base64::encode(certificate);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    });
    encoded.collect::<String>().into_bytes()
}

/// Creates a connector through `proxy`. Reads the system's roots if `context` trusts them.
fn connector(proxy: ProxyConfig, context: TlsContext) -> Connector {
    let settings =
        HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build();
    Connector::builder()
        .connector_settings(settings)
        .proxy_config(proxy)
        .tls_provider(Provider::rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build()
}

/// Bypasses the proxy for loopback requests, as Go's `net/http` does: a proxy cannot reach this machine's loopback.
///
/// The roots are loaded by the first request that may need TLS.
#[derive(Debug)]
struct LoopbackBypass {
    /// Additional trusted roots, PEM.
    bundle: Option<Vec<u8>>,
    /// For plain HTTP to loopback; its trust store is empty.
    plain: Connector,
    direct: OnceLock<Connector>,
    proxied: OnceLock<Connector>,
}

impl LoopbackBypass {
    /// Returns the connector in `cell`, building it with `proxy` on first use.
    fn tls_connector<'a>(
        &self,
        cell: &'a OnceLock<Connector>,
        proxy: fn() -> ProxyConfig,
    ) -> Result<&'a Connector, ConnectorError> {
        if let Some(connector) = cell.get() {
            return Ok(connector);
        }
        let trusted = trust(roots(), self.bundle.as_deref());
        let context = TlsContext::builder().with_trust_store(trusted).build();
        let context = context.map_err(|error| ConnectorError::other(error.into(), None))?;
        Ok(cell.get_or_init(|| connector(proxy(), context)))
    }
}

impl HttpConnector for LoopbackBypass {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().parse::<http::Uri>().ok();
        let is_plain = uri.as_ref().and_then(http::Uri::scheme) == Some(&http::uri::Scheme::HTTP);
        let connector = match uri.as_ref().and_then(http::Uri::host) {
            Some(host) if is_loopback(host) && is_plain => Ok(&self.plain),
            Some(host) if is_loopback(host) => self.tls_connector(&self.direct, ProxyConfig::disabled),
            _ => self.tls_connector(&self.proxied, ProxyConfig::from_env),
        };
        match connector {
            Ok(connector) => connector.call(request),
            Err(error) => HttpConnectorFuture::ready(Err(error)),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || literal.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Reads the bundle and validates its certificates: the TLS library would panic on invalid ones.
async fn read_ca_bundle(path: &Path) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let size = tokio::fs::metadata(path).await?.len();
    if size > MAX_CA_BUNDLE {
        return Err(format!("it is larger than {MAX_CA_BUNDLE} bytes").into());
    }
    let pem = tokio::fs::read(path).await?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() {
        return Err("it contains no certificate".into());
    }
    let mut store = rustls::RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate)?;
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts_are_recognized() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "169.254.169.254", "ec2.eu-west-1.amazonaws.com", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[tokio::test]
    async fn invalid_bundle_error_names_file() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("empty", ""),
            ("text", "not a certificate"),
            ("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            let error = Http::new(Some(&path)).await.unwrap_err();
            assert!(matches!(error, AwsError::CaBundle { .. }), "{name}: {error:?}");
            assert!(error.to_string().contains(name));
        }
        assert!(Http::new(Some(&dir.path().join("absent"))).await.is_err());
    }
}
