//! Builds an [`AwsClient`] from region, credentials, role, endpoint URLs and roots.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::BehaviorVersion;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_ec2instanceconnect::config::IdentityCache;
use aws_types::region::Region;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::model::Account;

use super::client::{AwsClient, ResponseCache};
use super::config::{AwsConfig, Service, check_url};
use super::credentials::{CREDENTIALS_TIMEOUT, CachedCredentials, Chain, SdkCredentials, metadata_client};
use super::error::AwsError;
use super::http::Http;
use super::key_push;
use super::partition::{check_region, ec2_url};
use super::query::Query;
use super::settings::Settings;
use super::sts::{Role, Sts};

/// The maximum number of clients, credentials and HTTP pools that are kept.
const MAX_CELLS: usize = 256;

type Key = (Account, Option<String>);
type CellMap<K, V> = Mutex<HashMap<K, Arc<OnceCell<V>>>>;

/// Builds clients, one per account and region, and caches them.
#[derive(Debug)]
pub struct Aws {
    config: Arc<AwsConfig>,
    clients: CellMap<Key, Arc<AwsClient>>,
    /// Shared by all regions: the user types an MFA code only once.
    credentials: CellMap<Account, Arc<CachedCredentials>>,
    pools: CellMap<Option<PathBuf>, Http>,
}

impl Aws {
    /// Creates a factory. Nothing is read or requested before the first [`Self::client`].
    #[must_use]
    pub fn new(config: AwsConfig) -> Self {
        Self {
            config: Arc::new(config),
            clients: Mutex::default(),
            credentials: Mutex::default(),
            pools: Mutex::default(),
        }
    }

    /// Returns the client of `account` in `region`, or in the configured region. The first call reads the
    /// configuration files and determines the region; credentials are loaded at the first AWS call.
    ///
    /// # Errors
    /// No region is configured, a setting is invalid, the profile does not exist, configuration or CA bundle cannot
    /// be read, or determining the region timed out.
    pub async fn client(&self, account: &Account, region: Option<&str>) -> Result<Arc<AwsClient>, AwsError> {
        let key = (account.clone(), region.map(str::to_owned));
        let cell = cell_for(&self.clients, key);
        let build = || async {
            timeout(CREDENTIALS_TIMEOUT, self.build(account, region))
                .await
                .unwrap_or(Err(AwsError::CredentialsTimeout(CREDENTIALS_TIMEOUT)))
        };
        cell.get_or_try_init(build).await.cloned()
    }

    async fn build(&self, account: &Account, region: Option<&str>) -> Result<Arc<AwsClient>, AwsError> {
        let config = &self.config;
        let profile = account.profile.as_ref().or(config.profile.as_ref());
        let region = region.or(config.region.as_deref());
        if let Some(region) = region {
            check_region(region)?;
        }
        let settings = Settings::load(config, profile.map(String::as_str)).await?;
        let ca_bundle = config.ca_bundle.clone().or_else(|| settings.ca_bundle());
        let pool = cell_for(&self.pools, ca_bundle.clone());
        let http = pool.get_or_try_init(|| Http::new(ca_bundle.as_deref())).await?.clone();
        let region = match region {
            Some(region) => region.to_owned(),
            None => self.region(&settings, &http).await?,
        };
        check_region(&region)?;
        self.assemble(account, profile, &settings, http, region).await.map(Arc::new)
    }

    /// Returns the region from the environment, the profile or the instance metadata.
    async fn region(&self, settings: &Settings, http: &Http) -> Result<String, AwsError> {
        if let Some(region) = settings.region()? {
            return Ok(region);
        }
        let provider = ProviderConfig::without_region()
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_http_client(http.sdk_client());
        let client = metadata_client(settings, &provider)?;
        let found =
            ImdsRegionProvider::builder().configure(&provider).imds_client(client).build().region().await;
        found
            .map(|region| region.to_string())
            .or(self.config.fallback_region.clone())
            .ok_or(AwsError::NoRegion)
    }

    async fn assemble(
        &self,
        account: &Account,
        profile: Option<&String>,
        settings: &Settings,
        http: Http,
        region: String,
    ) -> Result<AwsClient, AwsError> {
        let config = &self.config;
        let flag =
            |explicit: Option<bool>, configured: Option<bool>| explicit.or(configured).unwrap_or(false);
        let use_fips = flag(config.use_fips, settings.use_fips()?);
        let use_dualstack = flag(config.use_dualstack, settings.use_dualstack()?);
        let retries = settings.retries(config.retries)?;
        let url = |service: Service| match config.explicit_url(service) {
            Some(url) => check_url(service, url).map(Some),
            None => settings.url(service),
        };
        let key_push_url = url(Service::Ec2InstanceConnect)?;
        let key_push_host = host(key_push_url.as_deref(), Service::Ec2InstanceConnect, &region);
        let sts_url = url(Service::Sts)?;
        let sts = Sts {
            host: host(sts_url.as_deref(), Service::Sts, &region),
            url: sts_url,
            http: http.clone(),
            region: region.clone(),
            use_fips,
            use_dualstack,
            retries,
        };
        let ec2_url = match url(Service::Ec2)? {
            Some(url) => url,
            None => ec2_url(&region, use_fips, use_dualstack),
        };
        let credentials = self.credentials(account, profile, &sts).await;
        let mut key_push_config = aws_sdk_ec2instanceconnect::config::Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http.sdk_client())
            .region(Region::new(region.clone()))
            .use_fips(use_fips)
            .use_dual_stack(use_dualstack)
            .credentials_provider(SdkCredentials(credentials.clone()))
            .identity_cache(IdentityCache::no_cache())
            .timeout_config(key_push::timeouts())
            .retry_config(key_push::retries(retries))
            // Report a wrong clock instead of correcting for it: the tunnel's signature has no correction.
            .disable_clock_skew_correction(Some(true));
        key_push_config.set_endpoint_url(key_push_url);
        Ok(AwsClient {
            query: Query { http, url: ec2_url, region, credentials: credentials.clone(), retries },
            key_push: aws_sdk_ec2instanceconnect::Client::from_conf(key_push_config.build()),
            key_push_host,
            sts_host: sts.host.clone(),
            sts: sts.client(SdkCredentials(credentials.clone())),
            credentials,
            use_fips,
            use_dualstack,
            cache: ResponseCache::default(),
        })
    }

    /// Returns the credentials of `account`, or of its role, assumed with them through `sts`.
    async fn credentials(
        &self,
        account: &Account,
        profile: Option<&String>,
        sts: &Sts,
    ) -> Arc<CachedCredentials> {
        let role = account
            .role_arn
            .as_ref()
            .map(|arn| Role { external_id: account.external_id.clone(), ..Role::new(arn) });
        let make = || async {
            Arc::new(CachedCredentials::new(Chain {
                config: Arc::clone(&self.config),
                profile: profile.cloned(),
                role,
                sts: sts.clone(),
            }))
        };
        cell_for(&self.credentials, account.clone()).get_or_init(make).await.clone()
    }
}

/// Returns the host of `url`, for error messages; without a URL, the service and region.
fn host(url: Option<&str>, service: Service, region: &str) -> String {
    url.and_then(|url| url.split_once("://"))
        .map_or_else(|| format!("{service} in {region}"), |(_, host)| host.to_owned())
}

/// Returns the cell of `key`, creating it if needed. When the map is full, an unused cell is evicted.
fn cell_for<K: Eq + std::hash::Hash + Clone, V>(map: &CellMap<K, V>, key: K) -> Arc<OnceCell<V>> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= MAX_CELLS && !map.contains_key(&key) {
        let unused = map.iter().find(|(_, cell)| Arc::strong_count(cell) == 1).map(|(key, _)| key.clone());
        if let Some(unused) = unused {
            map.remove(&unused);
        }
    }
    map.entry(key).or_default().clone()
}
