//! The tunnel's certificates, signed by a CA that is created here.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::EmulatorError;
use super::faults::Certificate;
use super::state_dir::StateDir;

/// The CA's file names in the state directory.
const CA_CERT: &str = "ca.pem";
const CA_KEY: &str = "ca.key";

/// The CA and a TLS configuration for each [`Certificate`] knob.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) ca_pem: String,
    pub(super) ca_file: PathBuf,
    valid: Arc<ServerConfig>,
    wrong_name: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
    unknown_ca: Arc<ServerConfig>,
}

impl Tls {
    /// Creates certificates for `names`, signed by the CA in `state` or by a new one.
    pub(super) fn new(state: &StateDir, names: Vec<String>) -> Result<Self, EmulatorError> {
        let (ca_pem, ca_key) = match (state.read(CA_CERT)?, state.read(CA_KEY)?) {
            (Some(pem), Some(key)) => (pem, KeyPair::from_pem(&key)?),
            _ => {
                let key = KeyPair::generate()?;
                let pem = ca_params()?.self_signed(&key)?.pem();
                state.write(CA_KEY, &key.serialize_pem())?;
                (pem, key)
            }
        };
        let ca_file = state.write(CA_CERT, &ca_pem)?;
        // The parameters are constant, so a stored key can sign without parsing the stored certificate.
        let ca = Issuer::new(ca_params()?, ca_key);
        let unknown = Issuer::new(ca_params()?, KeyPair::generate()?);
        let good = (2099, 1, 1);
        Ok(Self {
            valid: server_config(&ca, names.clone(), good)?,
            wrong_name: server_config(&ca, vec!["elsewhere.invalid".into()], good)?,
            expired: server_config(&ca, names.clone(), (2001, 1, 1))?,
            unknown_ca: server_config(&unknown, names, good)?,
            ca_pem,
            ca_file,
        })
    }

    pub(super) fn config(&self, certificate: Certificate) -> Arc<ServerConfig> {
        Arc::clone(match certificate {
            Certificate::Valid => &self.valid,
            Certificate::WrongName => &self.wrong_name,
            Certificate::Expired => &self.expired,
            Certificate::UnknownCa => &self.unknown_ca,
        })
    }
}

fn ca_params() -> Result<CertificateParams, EmulatorError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "eice emulator CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    Ok(params)
}

fn server_config(
    issuer: &Issuer<'_, KeyPair>,
    names: Vec<String>,
    (year, month, day): (i32, u8, u8),
) -> Result<Arc<ServerConfig>, EmulatorError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "eice emulator");
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, month, day);
    let certificate: CertificateDer<'static> = params.signed_by(&key, issuer)?.into();
    let key = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|error| EmulatorError::Config(format!("a generated key is invalid: {error}")))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Arc::new(config))
}
