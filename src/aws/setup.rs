//! How a [`Client`] comes to be: region, credentials, role, names and roots put together.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

// The types behind these aliases are in aws-runtime, which is no dependency of ours.
#[allow(deprecated)]
use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2instanceconnect::config::IdentityCache;
use aws_types::origin::Origin;
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::region::Region;
use aws_types::service_config::ServiceConfigKey;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::model::Account;

use super::client::{Client, Known};
use super::config::{Config, Service, check_url};
use super::credentials::{CREDENTIALS_TIMEOUT, CachedCredentials, ForSdk};
use super::error::Error;
use super::http::Http;
use super::key_push;
use super::partition::{check_region, ec2_url};
use super::query::Query;

/// The most clients and HTTP pools that are kept.
const MAX_KEPT: usize = 256;
/// The session name of an assumed role, as it stands in CloudTrail.
const ROLE_SESSION_NAME: &str = "eice";

type Key = (Account, Option<String>);
type Kept<K, V> = Mutex<HashMap<K, Arc<OnceCell<V>>>>;

/// Makes clients, one per account and region, and keeps them.
#[derive(Debug)]
pub struct Aws {
    config: Config,
    clients: Kept<Key, Arc<Client>>,
    pools: Kept<Option<PathBuf>, Http>,
}

impl Aws {
    /// Nothing is read or asked before the first [`Self::client`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, clients: Mutex::default(), pools: Mutex::default() }
    }

    /// The client of `account` in `region`; absent, the region is the configured one. Configuration files are
    /// read and the region is found the first time; credentials are loaded at the first call.
    ///
    /// # Errors
    /// There is no region, or configuration or CA bundle cannot be read, or the region did not come in time.
    pub async fn client(&self, account: &Account, region: Option<&str>) -> Result<Arc<Client>, Error> {
        let key = (account.clone(), region.map(str::to_owned));
        let cell = kept(&self.clients, key);
        let build = || async {
            timeout(CREDENTIALS_TIMEOUT, self.build(account, region))
                .await
                .unwrap_or(Err(Error::CredentialsTimeout(CREDENTIALS_TIMEOUT)))
        };
        cell.get_or_try_init(build).await.cloned()
    }

    async fn build(&self, account: &Account, region: Option<&str>) -> Result<Arc<Client>, Error> {
        let config = &self.config;
        let profile = account.profile.as_ref().or(config.profile.as_ref());
        let region = region.or(config.region.as_deref());
        if let Some(region) = region {
            check_region(region)?;
        }
        let files = profile_files(config);
        let profiles =
            aws_config::profile::load(&Fs::real(), &Env::real(), &files, profile.cloned().map(Into::into))
                .await
                .map_err(|error| Error::Profile(error.into()))?;
        if let Some(profile) = profile
            && profiles.get_profile(profile).is_none()
        {
            return Err(Error::NoProfile(profile.clone()));
        }
        let ca_bundle = config
            .ca_bundle
            .clone()
            .or_else(|| std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from))
            .or_else(|| profiles.get("ca_bundle").map(PathBuf::from));
        let pool = kept(&self.pools, ca_bundle.clone());
        let http = pool.get_or_try_init(|| Http::new(ca_bundle.as_deref())).await?.clone();

        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.sdk_client())
            .profile_files(files);
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(credentials) = &config.credentials {
            loader = loader.credentials_provider(static_credentials(credentials));
        }
        if let Some(use_fips) = config.use_fips {
            loader = loader.use_fips(use_fips);
        }
        if let Some(use_dualstack) = config.use_dualstack {
            loader = loader.use_dual_stack(use_dualstack);
        }
        let mut sdk = loader.load().await;
        if let (None, Some(region)) = (sdk.region(), &config.fallback_region) {
            sdk = sdk.to_builder().region(Region::new(region.clone())).build();
        }
        let region = sdk.region().ok_or(Error::NoRegion)?.to_string();
        check_region(&region)?;
        self.assemble(account, &sdk, http, region).await.map(Arc::new)
    }

    async fn assemble(
        &self,
        account: &Account,
        sdk: &SdkConfig,
        http: Http,
        region: String,
    ) -> Result<Client, Error> {
        let config = &self.config;
        let credentials = Arc::new(self.credentials(account, sdk).await?);
        let use_fips = sdk.use_fips().unwrap_or(false);
        let use_dualstack = sdk.use_dual_stack().unwrap_or(false);
        let url = match self.url(Service::Ec2, sdk)? {
            Some(url) => url,
            None => ec2_url(&region, use_fips, use_dualstack),
        };
        let key_push_url = self.url(Service::Ec2InstanceConnect, sdk)?;
        let key_push_host = host(key_push_url.as_deref(), Service::Ec2InstanceConnect, &region);
        let sts_url = self.url(Service::Sts, sdk)?;
        let sts_host = host(sts_url.as_deref(), Service::Sts, &region);
        let mut key_push_config = aws_sdk_ec2instanceconnect::config::Builder::from(sdk)
            .credentials_provider(ForSdk(credentials.clone()))
            .identity_cache(IdentityCache::no_cache())
            .timeout_config(key_push::timeouts())
            .retry_config(key_push::retries(config.retries))
            // A clock that is off must be told here: the tunnel's signature has no correction.
            .disable_clock_skew_correction(Some(true));
        key_push_config.set_endpoint_url(key_push_url);
        let mut sts_config = aws_sdk_sts::config::Builder::from(sdk)
            .credentials_provider(ForSdk(credentials.clone()))
            .identity_cache(aws_sdk_sts::config::IdentityCache::no_cache())
            .timeout_config(key_push::timeouts())
            .retry_config(key_push::retries(config.retries))
            .disable_clock_skew_correction(Some(true));
        sts_config.set_endpoint_url(sts_url);
        Ok(Client {
            query: Query { http, url, region, credentials: credentials.clone(), retries: config.retries },
            key_push: aws_sdk_ec2instanceconnect::Client::from_conf(key_push_config.build()),
            key_push_host,
            sts: aws_sdk_sts::Client::from_conf(sts_config.build()),
            sts_host,
            credentials,
            use_fips,
            use_dualstack,
            known: Known::default(),
        })
    }

    /// The chain's credentials, or those of the role that `account` names, assumed with them.
    async fn credentials(&self, account: &Account, sdk: &SdkConfig) -> Result<CachedCredentials, Error> {
        let none = || Error::NoCredentials("no credential provider is configured".into());
        let provider = sdk.credentials_provider().ok_or_else(none)?;
        let Some(role_arn) = &account.role_arn else { return Ok(CachedCredentials::new(provider, None)) };
        let mut sts = sdk.to_builder();
        if let Some(url) = self.url(Service::Sts, sdk)? {
            sts.set_endpoint_url(Some(url));
            sts.insert_origin("endpoint_url", Origin::shared_config());
        }
        let mut role =
            AssumeRoleProvider::builder(role_arn).session_name(ROLE_SESSION_NAME).configure(&sts.build());
        if let Some(external_id) = &account.external_id {
            role = role.external_id(external_id);
        }
        let role = SharedCredentialsProvider::new(role.build_from_provider(provider).await);
        Ok(CachedCredentials::new(role, Some(role_arn.clone())))
    }

    /// Where `service` answers, unless at AWS's own names: given here, then by the environment and the profile.
    fn url(&self, service: Service, sdk: &SdkConfig) -> Result<Option<String>, Error> {
        let configured = || {
            let key = ServiceConfigKey::builder()
                .service_id(service.id())
                .env("AWS_ENDPOINT_URL")
                .profile("endpoint_url")
                .build()
                .ok()?;
            sdk.service_config()?.load_config(key).or_else(|| sdk.endpoint_url().map(str::to_owned))
        };
        let url = self.config.explicit_url(service).map(str::to_owned).or_else(configured);
        url.map(|url| check_url(service, &url)).transpose()
    }
}

/// The host that `url` names, for an error text; without one, the service at AWS's own names.
fn host(url: Option<&str>, service: Service, region: &str) -> String {
    url.and_then(|url| url.split_once("://"))
        .map_or_else(|| format!("{service} in {region}"), |(_, host)| host.to_owned())
}

/// The cell of `key`, made if it is not there; at the bound, one that nobody uses makes room.
fn kept<K: Eq + std::hash::Hash + Clone, V>(map: &Kept<K, V>, key: K) -> Arc<OnceCell<V>> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= MAX_KEPT && !map.contains_key(&key) {
        let unused = map.iter().find(|(_, cell)| Arc::strong_count(cell) == 1).map(|(key, _)| key.clone());
        if let Some(unused) = unused {
            map.remove(&unused);
        }
    }
    map.entry(key).or_default().clone()
}

#[allow(deprecated)]
fn profile_files(config: &Config) -> ProfileFiles {
    match &config.config_file {
        Some(path) => ProfileFiles::builder().with_file(ProfileFileKind::Config, path).build(),
        None => ProfileFiles::default(),
    }
}

fn static_credentials(credentials: &eice_proto::Credentials) -> aws_credential_types::Credentials {
    aws_credential_types::Credentials::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        credentials.session_token().map(str::to_owned),
        None,
        "eice",
    )
}
