//! Builds a [`AwsClient`] from region, credentials, role, names and roots.

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

use super::client::{AwsClient, Known};
use super::config::{AwsConfig, Service, check_url};
use super::credentials::{CREDENTIALS_TIMEOUT, CachedCredentials, Chain, ForSdk, metadata_client};
use super::error::AwsError;
use super::http::Http;
use super::key_push;
use super::partition::{check_region, ec2_url};
use super::query::Query;
use super::settings::Settings;
use super::sts::{Role, Sts};

/// The most clients, credentials and HTTP pools that are kept.
const MAX_KEPT: usize = 256;

type Key = (Account, Option<String>);
type Kept<K, V> = Mutex<HashMap<K, Arc<OnceCell<V>>>>;

/// Makes clients, one per account and region, and keeps them.
#[derive(Debug)]
pub struct Aws {
    config: Arc<AwsConfig>,
    clients: Kept<Key, Arc<AwsClient>>,
    /// One for all regions: whoever types a code is asked once.
    credentials: Kept<Account, Arc<CachedCredentials>>,
    pools: Kept<Option<PathBuf>, Http>,
}

impl Aws {
    /// Nothing is read or asked before the first [`Self::client`].
    #[must_use]
    pub fn new(config: AwsConfig) -> Self {
        Self {
            config: Arc::new(config),
            clients: Mutex::default(),
            credentials: Mutex::default(),
            pools: Mutex::default(),
        }
    }

    /// The client of `account` in `region`; absent, the region is the configured one. Configuration files are
    /// read and the region is found the first time; credentials are loaded at the first call.
    ///
    /// # Errors
    /// There is no region, a setting cannot be used, the profile does not exist, configuration or CA bundle cannot be
    /// read, or the region did not come in time.
    pub async fn client(&self, account: &Account, region: Option<&str>) -> Result<Arc<AwsClient>, AwsError> {
        let key = (account.clone(), region.map(str::to_owned));
        let cell = kept(&self.clients, key);
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
        let pool = kept(&self.pools, ca_bundle.clone());
        let http = pool.get_or_try_init(|| Http::new(ca_bundle.as_deref())).await?.clone();
        let region = match region {
            Some(region) => region.to_owned(),
            None => self.region(&settings, &http).await?,
        };
        check_region(&region)?;
        self.assemble(account, profile, &settings, http, region).await.map(Arc::new)
    }

    /// The region that environment, profile or instance say.
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
            .credentials_provider(ForSdk(credentials.clone()))
            .identity_cache(IdentityCache::no_cache())
            .timeout_config(key_push::timeouts())
            .retry_config(key_push::retries(retries))
            // A wrong clock must be reported here: the tunnel's signature has no correction.
            .disable_clock_skew_correction(Some(true));
        key_push_config.set_endpoint_url(key_push_url);
        Ok(AwsClient {
            query: Query { http, url: ec2_url, region, credentials: credentials.clone(), retries },
            key_push: aws_sdk_ec2instanceconnect::Client::from_conf(key_push_config.build()),
            key_push_host,
            sts_host: sts.host.clone(),
            sts: sts.client(ForSdk(credentials.clone())),
            credentials,
            use_fips,
            use_dualstack,
            known: Known::default(),
        })
    }

    /// The credentials of `account`, or those of the role that it names, assumed with them by `sts`.
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
        kept(&self.credentials, account.clone()).get_or_init(make).await.clone()
    }
}

/// The host that `url` names, for an error text; without one, the service at AWS's own names.
fn host(url: Option<&str>, service: Service, region: &str) -> String {
    url.and_then(|url| url.split_once("://"))
        .map_or_else(|| format!("{service} in {region}"), |(_, host)| host.to_owned())
}

/// The cell of `key`, made if it is missing; at the bound, an unused one makes room.
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
