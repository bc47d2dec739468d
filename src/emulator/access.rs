//! The addresses and credentials of a running emulator.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::secret::Secret;

/// Everything an AWS client needs to use a running emulator.
#[derive(Clone)]
pub struct EmulatorAccess {
    pub(super) api: SocketAddr,
    pub(super) tunnel: SocketAddr,
    pub(super) tunnel_host: String,
    pub(super) ca_file: PathBuf,
    pub(super) ca_pem: String,
    pub(super) access_key_id: String,
    pub(super) secret_access_key: Secret,
    pub(super) session_token: Option<Secret>,
    pub(super) region: String,
    pub(super) account_id: String,
}

impl EmulatorAccess {
    /// Returns the URL of all APIs: EC2, EC2 Instance Connect, STS, CloudTrail.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// Returns the address of the APIs.
    #[must_use]
    pub fn api_addr(&self) -> SocketAddr {
        self.api
    }

    /// Returns `HOST:PORT` of the tunnel, the `DnsName` of an endpoint without a name of its own.
    #[must_use]
    pub fn tunnel_authority(&self) -> String {
        format!("{}:{}", self.tunnel_host, self.tunnel.port())
    }

    /// Returns the address of the tunnel's TLS listener.
    #[must_use]
    pub fn tunnel_addr(&self) -> SocketAddr {
        self.tunnel
    }

    /// Returns the URL of the metadata service of the instance `id`, which an instance reaches at
    /// 169.254.169.254.
    #[must_use]
    pub fn metadata_url(&self, id: &eice_proto::InstanceId) -> String {
        format!("{}/instances/{id}", self.api_url())
    }

    /// Returns the CA certificate that signed the tunnel's certificate, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Returns the path of the CA certificate, which is deleted with the emulator.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Returns the first principal's credentials.
    #[must_use]
    pub fn credentials(&self) -> eice_proto::Credentials {
        let token = self.session_token().map(str::to_owned);
        eice_proto::Credentials::new(self.access_key_id(), self.secret_access_key(), token)
    }

    /// Returns the first principal's access key id.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Returns the first principal's secret access key.
    #[must_use]
    pub fn secret_access_key(&self) -> &str {
        self.secret_access_key.expose()
    }

    /// Returns the first principal's session token, if it has one.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(Secret::expose)
    }

    /// Returns the region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the account id.
    #[must_use]
    pub fn account_id(&self) -> &str {
        &self.account_id
    }

    /// Returns the environment that points any AWS client to the emulator. It contains the secret.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![
            ("AWS_ENDPOINT_URL", self.api_url()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
            ("AWS_ACCESS_KEY_ID", self.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_access_key.expose().to_owned()),
            ("AWS_CA_BUNDLE", self.ca_file.display().to_string()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        if let Some(token) = &self.session_token {
            env.push(("AWS_SESSION_TOKEN", token.expose().to_owned()));
        }
        env
    }
}

impl fmt::Debug for EmulatorAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("api", &self.api)
            .field("tunnel", &self.tunnel)
            .field("ca_file", &self.ca_file)
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}
