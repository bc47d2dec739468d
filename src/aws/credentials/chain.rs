//! Loads credentials from a [`Source`].

use std::path::Path;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sso::SsoCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_types::region::Region;
use futures_util::future::BoxFuture;

use super::super::config::AwsConfig;
use super::super::error::AwsError;
use super::super::settings::Settings;
use super::super::sts::{Role, Sts};
use super::source::{Source, Sso, source};
use super::{Provider, process};

/// The maximum size of a token file, in bytes.
const MAX_TOKEN: u64 = 64 << 10;

/// Loads the credentials of a profile, or of a role assumed with them.
#[derive(Debug)]
pub(in crate::aws) struct Chain {
    pub(in crate::aws) config: Arc<AwsConfig>,
    /// The profile, if the caller gave one.
    pub(in crate::aws) profile: Option<String>,
    /// The role to assume with the profile's credentials.
    pub(in crate::aws) role: Option<Role>,
    pub(in crate::aws) sts: Sts,
}

impl Provider for Chain {
    fn load(&self) -> BoxFuture<'_, Result<Credentials, AwsError>> {
        Box::pin(async {
            // Read the files each time, to pick up edits.
            let settings = Settings::load(&self.config, self.profile.as_deref()).await?;
            let base = match &self.config.credentials {
                Some(fixed) => given(fixed),
                None => self.obtain(&source(&settings)?, &settings).await?,
            };
            match &self.role {
                None => Ok(base),
                Some(role) => self.assume(base, role).await,
            }
        })
    }

    fn is_attended(&self) -> bool {
        self.config.prompt.is_some()
    }
}

impl Chain {
    fn obtain<'a>(
        &'a self,
        source: &'a Source,
        settings: &'a Settings,
    ) -> BoxFuture<'a, Result<Credentials, AwsError>> {
        Box::pin(async move {
            let found = match source {
                Source::Keys(keys) => keys.clone(),
                Source::Process { command, profile } => {
                    if let Some(prompt) = &self.config.prompt {
                        prompt.clear_progress();
                    }
                    process::run(command, profile, self.config.prompt.is_some()).await?
                }
                Source::Sso(sso) => self.sso(sso).await?,
                Source::WebIdentity { role_arn, session_name, token_file } => {
                    let token = read_token(token_file).await?;
                    self.sts.assume_with_token(role_arn, session_name, token.trim()).await?
                }
                Source::Role { base, role } => {
                    let base = self.obtain(base, settings).await?;
                    self.assume(base, role).await?
                }
                Source::Container => self.container(settings).await?,
                Source::Instance => self.instance(settings).await?,
            };
            check(&found)?;
            Ok(found)
        })
    }

    async fn assume(&self, base: Credentials, role: &Role) -> Result<Credentials, AwsError> {
        let code = match &role.mfa_serial {
            None => None,
            Some(serial) => {
                let failed =
                    |source| AwsError::Mfa { role_arn: role.arn.clone(), serial: serial.clone(), source };
                let prompt = self.config.prompt.as_ref().ok_or_else(|| failed(None))?;
                let code = prompt.mfa_code(serial).await.map_err(|error| failed(Some(error)))?;
                Some(code.trim().to_owned())
            }
        };
        self.sts.assume(base, role, code).await
    }

    fn provider_config(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_http_client(self.sts.http.sdk_client())
            .with_region(Some(Region::new(self.sts.region.clone())))
    }

    async fn sso(&self, sso: &Sso) -> Result<Credentials, AwsError> {
        let mut provider = SsoCredentialsProvider::builder()
            .configure(&self.provider_config())
            .account_id(&sso.account_id)
            .role_name(&sso.role_name)
            .start_url(&sso.start_url)
            .region(Region::new(sso.region.clone()));
        provider.set_session_name(sso.session.clone());
        let found = provider.build().provide_credentials().await;
        found.map_err(|source| AwsError::SignIn { profile: sso.profile.clone(), source: source.into() })
    }

    async fn container(&self, settings: &Settings) -> Result<Credentials, AwsError> {
        // The SDK puts these verbatim into a URL and a header.
        for (name, starts) in [
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", &["/"][..]),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &["http://", "https://"]),
        ] {
            let Some(value) = settings.env.text(name)? else { continue };
            let is_uri = value.parse::<http::Uri>().is_ok_and(|uri| uri.path().starts_with('/'));
            if !is_uri || !starts.iter().any(|start| value.starts_with(start)) {
                return Err(AwsError::setting(
                    name,
                    format!("it must be a URI that starts with {}", starts.join(" or ")),
                ));
            }
        }
        let provider = EcsCredentialsProvider::builder().configure(&self.provider_config()).build();
        provider.provide_credentials().await.map_err(missing_or_failed)
    }

    async fn instance(&self, settings: &Settings) -> Result<Credentials, AwsError> {
        let config = self.provider_config();
        let client = metadata_client(settings, &config)?;
        let provider = ImdsCredentialsProvider::builder().configure(&config).imds_client(client).build();
        provider.provide_credentials().await.map_err(missing_or_failed)
    }
}

/// Creates a client of the instance metadata service, at the address in `settings`.
pub(in crate::aws) fn metadata_client(
    settings: &Settings,
    config: &ProviderConfig,
) -> Result<imds::Client, AwsError> {
    let url = settings.metadata_url()?;
    let is_url =
        url.parse::<http::Uri>().is_ok_and(|url| url.scheme().is_some() && url.authority().is_some());
    let client = if is_url { imds::Client::builder().configure(config).endpoint(&url).ok() } else { None };
    let wrong = || AwsError::setting("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("{url:?} is not a URL"));
    client.map(imds::client::Builder::build).ok_or_else(wrong)
}

fn missing_or_failed(error: CredentialsError) -> AwsError {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => AwsError::NoCredentials,
        other => AwsError::Credentials(other.into()),
    }
}

fn given(fixed: &eice_proto::Credentials) -> Credentials {
    let token = fixed.session_token().map(str::to_owned);
    Credentials::new(fixed.access_key_id(), fixed.secret_access_key(), token, None, "eice")
}

async fn read_token(path: &Path) -> Result<String, AwsError> {
    let failed = |why: String| AwsError::setting(format!("the web identity token {}", path.display()), why);
    let metadata = tokio::fs::metadata(path).await.map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > MAX_TOKEN {
        return Err(failed(format!("it is not a regular file of at most {MAX_TOKEN} bytes")));
    }
    tokio::fs::read_to_string(path).await.map_err(|error| failed(error.to_string()))
}

/// Rejects credentials that cannot be sent in a header: the signer would panic.
fn check(found: &Credentials) -> Result<(), AwsError> {
    let parts = [
        ("the access key id", Some(found.access_key_id())),
        ("the secret access key", Some(found.secret_access_key())),
        ("the session token", found.session_token()),
    ];
    for (name, value) in parts {
        let is_usable = |value: &str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
        if value.is_some_and(|value| !is_usable(value)) {
            return Err(AwsError::setting(
                name,
                "it contains white space, control characters or other invalid characters",
            ));
        }
    }
    Ok(())
}
