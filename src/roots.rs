//! L1 · The authorities that TLS trusts: the system's, and where it has none those compiled in.

use std::sync::OnceLock;

use rustls::pki_types::CertificateDer;

/// The authorities that a server of AWS may be signed by.
#[derive(Debug)]
pub struct Roots {
    /// Their certificates. None where the system has none and none are compiled in.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Whether they are Mozilla's list as it was when the program was built, because the system has none.
    pub compiled_in: bool,
}

/// The roots, read once in the life of the process. The first call takes as long as several round trips.
///
/// The system's are found as rustls-native-certs finds them: `SSL_CERT_FILE` and `SSL_CERT_DIR`, then where
/// distributions keep them. One of its own is enough for the system's word to count: a machine that trusts its
/// company's authority alone means it.
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
            "the system has no root certificates; those compiled in count"
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
    fn one_root_of_the_system_is_enough_for_those_compiled_in_to_stay_out() {
        let own = CertificateDer::from(vec![1, 2, 3]);
        let roots = choose(vec![own.clone()]);
        assert_eq!(roots.certificates, [own]);
        assert!(!roots.compiled_in);
    }

    #[cfg(feature = "bundled-roots")]
    #[test]
    fn those_compiled_in_are_all_good_and_have_the_ones_that_sign_for_aws() {
        let roots = choose(Vec::new());
        assert!(roots.compiled_in);
        let mut store = rustls::RootCertStore::empty();
        let (good, bad) = store.add_parsable_certificates(roots.certificates.iter().cloned());
        assert_eq!(bad, 0);
        assert!(good > 100, "{good}");
        // https://www.amazontrust.com/repository: what a certificate of an AWS service may lead to.
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
    fn without_the_feature_there_is_nothing_to_fall_back_to() {
        let roots = choose(Vec::new());
        assert!(roots.certificates.is_empty() && !roots.compiled_in);
    }
}
