//! `[tls]`: the certificate, if the gateway speaks TLS itself.

use std::error::Error as _;
use std::path::PathBuf;

use super::{SettingsReader, seconds};
use crate::config::Tls;
use crate::gateway::{Config, Pair, TlsFiles};

/// Reads `[tls]` and adapts the gateway's settings: with TLS, every page of ours is an https page.
pub(in crate::config) fn tls(reader: &mut SettingsReader<'_>, config: &mut Config) -> Option<Tls> {
    let mut section = reader.section("tls");
    let cert: Option<PathBuf> = reader.value(&mut section, "cert_file", Some("EICE_TLS_CERT_FILE"));
    let key: Option<PathBuf> = reader.value(&mut section, "key_file", Some("EICE_TLS_KEY_FILE"));
    let mut handshake_timeout = Tls::DEFAULT_HANDSHAKE_TIMEOUT;
    seconds(reader, &mut section, "handshake_timeout_secs", &mut handshake_timeout);
    reader.end(section);
    let (cert, key) = match (cert, key) {
        (None, None) => return None,
        (Some(_), None) => {
            reader.problem("tls.key_file", "it must name the key of the certificate");
            return None;
        }
        (None, Some(_)) => {
            reader.problem("tls.cert_file", "it must name the certificate of the key");
            return None;
        }
        (Some(cert), Some(key)) => (cert, key),
    };
    config.secure_cookie = true;
    for origin in config.allowed_origins.iter().filter(|origin| !origin.is_https() && !origin.is_loopback()) {
        reader.problem(
            "gateway.allowed_origins",
            format!("{origin} must be https, as the gateway with [tls] is"),
        );
    }
    match Pair::load(&TlsFiles::new(cert, key)) {
        Ok(pair) => Some(Tls { pair, handshake_timeout }),
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            reader.problem("tls", format!("{error}{cause}"));
            None
        }
    }
}
