//! The HTTP client of all AWS calls: one pool of connections, native roots and the CA bundle, proxies as the
//! environment says.

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
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::error::Error;

/// How long one TCP and TLS connection to AWS may take to come up.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long AWS may take to begin its answer.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest CA bundle that is read, in bytes; a full system store is about 230 KiB.
const MAX_CA_BUNDLE: u64 = 4 << 20;

/// The HTTP client, for our own calls and in the SDK's form.
#[derive(Clone, Debug)]
pub(super) struct Http {
    pub(super) connector: SharedHttpConnector,
}

impl Http {
    /// A client that trusts the system's roots and those in `ca_bundle`.
    ///
    /// # Errors
    /// [`Error::CaBundle`] when the bundle cannot be read or holds no certificate that can be a root.
    pub(super) async fn new(ca_bundle: Option<&Path>) -> Result<Self, Error> {
        let mut roots = TrustStore::default();
        if let Some(path) = ca_bundle {
            let pem = read_ca_bundle(path)
                .await
                .map_err(|source| Error::CaBundle { path: path.to_owned(), source })?;
            roots = roots.with_pem_certificate(pem);
        }
        let plain = connector(ProxyConfig::disabled(), context(TrustStore::empty())?);
        let context = context(roots)?;
        let switch = Switch { context, plain, direct: OnceLock::new(), proxied: OnceLock::new() };
        Ok(Self { connector: SharedHttpConnector::new(switch) })
    }

    /// The same client for the SDK. Its own time limits are those of this file, whatever the SDK asks.
    pub(super) fn sdk_client(&self) -> SharedHttpClient {
        let connector = self.connector.clone();
        http_client_fn(move |_settings, _components| connector.clone())
    }
}

fn context(roots: TrustStore) -> Result<TlsContext, Error> {
    TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .map_err(|source| Error::CaBundle { path: Path::new("").into(), source: source.into() })
}

/// A connector through `proxy`. Reads the system's roots when `context` trusts them.
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

/// Sends loopback requests past the proxy, as Go's `net/http` does: no proxy can reach this machine's loopback.
///
/// What needs no TLS does not wait for the system's roots: they are read at the first request that may.
#[derive(Debug)]
struct Switch {
    /// Trusts the system's roots and the CA bundle's.
    context: TlsContext,
    /// For plain HTTP to loopback. It trusts nobody.
    plain: Connector,
    direct: OnceLock<Connector>,
    proxied: OnceLock<Connector>,
}

impl HttpConnector for Switch {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().parse::<http::Uri>().ok();
        let is_plain = uri.as_ref().and_then(http::Uri::scheme) == Some(&http::uri::Scheme::HTTP);
        let connector = match uri.as_ref().and_then(http::Uri::host) {
            Some(host) if is_loopback(host) && is_plain => &self.plain,
            Some(host) if is_loopback(host) => {
                self.direct.get_or_init(|| connector(ProxyConfig::disabled(), self.context.clone()))
            }
            _ => self.proxied.get_or_init(|| connector(ProxyConfig::from_env(), self.context.clone())),
        };
        connector.call(request)
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || literal.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The bundle's certificates as PEM, each known to be one that the TLS library takes: it would panic on others.
async fn read_ca_bundle(path: &Path) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let size = tokio::fs::metadata(path).await?.len();
    if size > MAX_CA_BUNDLE {
        return Err(format!("it is larger than {MAX_CA_BUNDLE} bytes").into());
    }
    let pem = tokio::fs::read(path).await?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() {
        return Err("it holds no certificate".into());
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
    fn loopback_is_told_from_everything_else() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "169.254.169.254", "ec2.eu-west-1.amazonaws.com", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[tokio::test]
    async fn a_bad_bundle_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("empty", ""),
            ("text", "not a certificate"),
            ("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            let error = Http::new(Some(&path)).await.unwrap_err();
            assert!(matches!(error, Error::CaBundle { .. }), "{name}: {error:?}");
            assert!(error.to_string().contains(name));
        }
        assert!(Http::new(Some(&dir.path().join("absent"))).await.is_err());
    }
}
