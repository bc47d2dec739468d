//! L1 · The trusted TLS roots: the system's, or the compiled-in ones if it has none.

use std::sync::OnceLock;

use rustls::pki_types::CertificateDer;

/// The root certificates for AWS servers.
#[derive(Debug)]
pub struct Roots {
    /// The certificates. Empty if the system has none and none are compiled in.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Whether they are the compiled-in Mozilla roots, because the system has none.
    pub compiled_in: bool,
}

/// Returns the roots, loaded once per process. The first call takes as long as several round trips.
///
/// The system's are found as rustls-native-certs finds them: `SSL_CERT_FILE` and `SSL_CERT_DIR`, then the usual
/// paths of distributions. A single system root disables the compiled-in ones: a machine that trusts only its
/// company's authority does so on purpose.
#[must_use]
pub fn roots() -> &'static Roots {
    static ROOTS: OnceLock<Roots> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let loaded = rustls_native_certs::load_native_certs();
        for error in &loaded.errors {
            tracing::warn!(%error, "a system root certificate cannot be read");
        }
        choose(loaded.certs)
    })
}

fn choose(system: Vec<CertificateDer<'static>>) -> Roots {
    if !system.is_empty() {
        return Roots { certificates: system, compiled_in: false };
    }
    let certificates = compiled_in().to_vec();
    if !certificates.is_empty() {
        tracing::debug!(
            count = certificates.len(),
            "the system has no root certificates; using the compiled-in ones"
        );
    }
    Roots { compiled_in: !certificates.is_empty(), certificates }
}

#[cfg(feature = "bundled-roots")]
fn compiled_in() -> &'static [CertificateDer<'static>] {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
}

#[cfg(not(feature = "bundled-roots"))]
fn compiled_in() -> &'static [CertificateDer<'static>] {
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_root_disables_compiled_in() {
        let own = CertificateDer::from(vec![1, 2, 3]);
        let roots = choose(vec![own.clone()]);
        assert_eq!(roots.certificates, [own]);
        assert!(!roots.compiled_in);
    }

    #[cfg(feature = "bundled-roots")]
    #[test]
    fn compiled_in_roots_include_aws() {
        let roots = choose(Vec::new());
        assert!(roots.compiled_in);
        let mut store = rustls::RootCertStore::empty();
        let (good, bad) = store.add_parsable_certificates(roots.certificates.iter().cloned());
        assert_eq!(bad, 0);
        assert!(good > 100, "{good}");
        // https://www.amazontrust.com/repository: the roots of AWS services' certificates.
        let names = [
            "Amazon Root CA 1",
            "Amazon Root CA 2",
            "Amazon Root CA 3",
            "Amazon Root CA 4",
            "Starfield Services Root Certificate Authority - G2",
        ];
        for name in names {
            let is_named =
                |root: &&CertificateDer<'_>| root.windows(name.len()).any(|window| window == name.as_bytes());
            assert!(roots.certificates.iter().any(|root| is_named(&root)), "{name}");
        }
    }

    #[cfg(not(feature = "bundled-roots"))]
    #[test]
    fn no_fallback_without_the_feature() {
        let roots = choose(Vec::new());
        assert!(roots.certificates.is_empty() && !roots.compiled_in);
    }
}
