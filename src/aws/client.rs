//! The AWS calls of one account in one region.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eice_proto::{Credentials, InstanceId};

use crate::model::{AddressFamily, EndpointChoice, OsUser};

use super::action::Action;
use super::cache::Cache;
use super::choice::{ChoiceError, ChosenEndpoint, EndpointCriteria, addresses, choose};
use super::credentials::CachedCredentials;
use super::error::AwsError;
use super::filter::{EndpointQuery, InstanceFilter};
use super::key_push::{self, KeyPush};
use super::model::{Endpoint, Instance, InstanceState};
use super::query::Query;
use super::xml;

/// How long a description of a running instance is cached.
const INSTANCE_TTL: Duration = Duration::from_secs(30);
/// How long a list of usable endpoints is cached.
const ENDPOINT_TTL: Duration = Duration::from_secs(60);
/// The maximum number of cached responses of each kind.
const MAX_CACHED: usize = 1024;

/// The target of a tunnel, for [`AwsClient::route`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteRequest<'a> {
    /// How the endpoint is chosen.
    pub endpoint: &'a EndpointChoice,
    /// The instance, when it was looked up.
    pub instance: Option<&'a Instance>,
    /// The private address, when the caller gives one.
    pub address: Option<std::net::IpAddr>,
    /// Which of the instance's addresses may be used.
    pub family: AddressFamily,
}

impl<'a> RouteRequest<'a> {
    /// Creates a request for a route through `endpoint` to `instance`.
    #[must_use]
    pub fn new(endpoint: &'a EndpointChoice, instance: Option<&'a Instance>) -> Self {
        Self { endpoint, instance, address: None, family: AddressFamily::Any }
    }

    /// Returns the query for the candidate endpoints; `None` when the caller gave the endpoint with its name.
    ///
    /// # Errors
    /// The instance itself rules out a tunnel, or its VPC is unknown.
    pub fn query(&self) -> Result<Option<EndpointQuery>, ChoiceError> {
        addresses(&self.choice())?;
        Ok(match self.endpoint {
            EndpointChoice::Known { .. } => None,
            EndpointChoice::Id(id) => Some(EndpointQuery::by_id(id.clone())),
            EndpointChoice::Automatic => {
                let vpc_id = self.instance.and_then(|i| i.vpc_id.as_deref()).ok_or(ChoiceError::NoVpc)?;
                let subnet_id = self.instance.and_then(|i| i.subnet_id.clone());
                Some(EndpointQuery::in_vpc(vpc_id).stop_at_subnet(subnet_id))
            }
        })
    }

    fn choice(&self) -> EndpointCriteria<'_> {
        EndpointCriteria {
            instance: self.instance,
            endpoint: match self.endpoint {
                EndpointChoice::Id(id) => Some(id),
                EndpointChoice::Known { .. } | EndpointChoice::Automatic => None,
            },
            address: self.address,
            family: self.family,
            use_fips: false,
            use_dualstack: false,
        }
    }
}

/// The AWS calls of one account in one region.
#[derive(Debug)]
pub struct AwsClient {
    pub(super) query: Query,
    pub(super) key_push: aws_sdk_ec2instanceconnect::Client,
    pub(super) key_push_host: String,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) sts_host: String,
    pub(super) credentials: Arc<CachedCredentials>,
    pub(super) use_fips: bool,
    pub(super) use_dualstack: bool,
    pub(super) cache: ResponseCache,
}

/// Cached responses.
#[derive(Debug)]
pub(super) struct ResponseCache {
    instances: Cache<InstanceId, Instance>,
    endpoints: Cache<EndpointQuery, Vec<Endpoint>>,
}

impl Default for ResponseCache {
    fn default() -> Self {
        Self {
            instances: Cache::new(INSTANCE_TTL, MAX_CACHED),
            endpoints: Cache::new(ENDPOINT_TTL, MAX_CACHED),
        }
    }
}

impl AwsClient {
    /// Returns the region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.query.region
    }

    /// Returns whether FIPS names are used.
    #[must_use]
    pub fn uses_fips(&self) -> bool {
        self.use_fips
    }

    /// Returns the maximum number of attempts of a call.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.query.retries.attempts
    }

    /// Returns credentials to sign a tunnel with; they are renewed shortly before they expire.
    ///
    /// # Errors
    /// No credentials were found, or they could not be obtained in time.
    pub async fn credentials(&self) -> Result<Credentials, AwsError> {
        let loaded = self.credentials.load().await?;
        Ok(Credentials::new(
            loaded.access_key_id(),
            loaded.secret_access_key(),
            loaded.session_token().map(str::to_owned),
        ))
    }

    /// Looks up the instance `id`. The response is cached for `INSTANCE_TTL` if the instance is running.
    ///
    /// # Errors
    /// [`AwsError::NotFound`] when there is no such instance; otherwise see [`AwsError`]. A stopped instance is not
    /// an error here, but in [`Self::route`].
    pub async fn instance(&self, id: &InstanceId) -> Result<Instance, AwsError> {
        if let Some(instance) = self.cache.instances.find(id, Instant::now()) {
            return Ok(instance);
        }
        let instance = self.describe_instance(id).await?.value;
        if instance.state == InstanceState::Running {
            self.cache.instances.insert(id.clone(), instance.clone(), Instant::now());
        }
        Ok(instance)
    }

    /// Returns the endpoints that match `query`, in AWS's order. A response that is not empty is cached for
    /// `ENDPOINT_TTL`.
    ///
    /// # Errors
    /// See [`AwsError`]. If none match, the list is empty, except that AWS rejects an unknown id.
    pub async fn endpoints(&self, query: &EndpointQuery) -> Result<Vec<Endpoint>, AwsError> {
        if let Some(endpoints) = self.cache.endpoints.find(query, Instant::now()) {
            return Ok(endpoints);
        }
        let endpoints = self.describe_endpoints(query).await?.value;
        if !endpoints.is_empty() && !query.any_state {
            self.cache.endpoints.insert(query.clone(), endpoints.clone(), Instant::now());
        }
        Ok(endpoints)
    }

    /// Returns the instances that match `filter`, in AWS's order. Running ones are cached for `INSTANCE_TTL`, for
    /// later lookups by id.
    ///
    /// # Errors
    /// See [`AwsError`]. If none match, the list is empty.
    pub async fn find_instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, AwsError> {
        let action = Action::DescribeInstances;
        let found = self.pages(action, filter.params(), xml::instances, |_| false).await?.value;
        for instance in found.iter().filter(|instance| instance.state == InstanceState::Running) {
            self.cache.instances.insert(instance.id.clone(), instance.clone(), Instant::now());
        }
        Ok(found)
    }

    /// Chooses the endpoint and the address, and queries AWS for endpoints unless the caller gave everything. A
    /// successful choice sends the same requests as aws-cli; only a failed one sends one more, to find the reason.
    ///
    /// # Errors
    /// [`AwsError::Choice`] when nothing fits; otherwise see [`AwsError`].
    pub async fn route(&self, request: &RouteRequest<'_>) -> Result<ChosenEndpoint, AwsError> {
        // An instance that cannot be reached at all needs no endpoint lookup.
        let Some(query) = request.query()? else { return Ok(self.choose(request, &[])?) };
        let endpoints = self.endpoints(&query).await?;
        let error = match self.choose(request, &endpoints) {
            Ok(chosen) => return Ok(chosen),
            Err(error) => error,
        };
        self.cache.endpoints.remove(&query);
        match error {
            ChoiceError::NoEndpoint { .. }
            | ChoiceError::NoSuchEndpoint { .. }
            | ChoiceError::AddressFamily { .. } => {
                let all = self.endpoints(&query.any_state()).await?;
                Ok(self.choose(request, &all)?)
            }
            error => Err(error.into()),
        }
    }

    /// Chooses the endpoint and the address among `endpoints`, without any request. Unusable endpoints may be
    /// included; they only explain why none can be chosen. An endpoint that the caller gave is used unchecked.
    ///
    /// # Errors
    /// See [`ChoiceError`].
    pub fn choose(
        &self,
        request: &RouteRequest<'_>,
        endpoints: &[Endpoint],
    ) -> Result<ChosenEndpoint, ChoiceError> {
        let mut choice = request.choice();
        choice.use_fips = self.use_fips;
        choice.use_dualstack = self.use_dualstack;
        match request.endpoint {
            EndpointChoice::Known { id, dns_name } => {
                let address = addresses(&choice)?.first().copied().ok_or(ChoiceError::NoVpc)?;
                Ok(ChosenEndpoint::new(id.clone(), dns_name.as_str(), address))
            }
            EndpointChoice::Id(_) | EndpointChoice::Automatic => choose(&choice, endpoints),
        }
    }

    /// Drops the cached data of `instance` and of all endpoints. Call it after a failed tunnel, which suggests a
    /// change.
    pub fn forget(&self, instance: &InstanceId) {
        self.cache.instances.remove(instance);
        self.cache.endpoints.remove_if(|_, _| true);
    }

    /// Pushes `public_key` (`ssh-ed25519 AAAA…`) for `os_user` on `instance`, where it is valid for 60 s. Returns
    /// the request id.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn send_ssh_public_key(
        &self,
        instance: &InstanceId,
        os_user: &OsUser,
        public_key: &str,
    ) -> Result<String, AwsError> {
        let push = KeyPush::new(instance.as_str(), os_user.as_str(), public_key);
        let sent = self.push_key(&push).await;
        if let Err(AwsError::NotFound(_) | AwsError::State(_)) = &sent {
            self.forget(instance);
        }
        sent
    }

    /// Pushes a key that is not validated here, to an instance id that is not either. Returns the request id.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn push_key(&self, push: &KeyPush<'_>) -> Result<String, AwsError> {
        // Load the credentials first: a failure is then reported as one of credentials.
        self.credentials.load().await?;
        let sent = key_push::send(&self.key_push, &self.key_push_host, push).await;
        if let Err(AwsError::Rejected(_)) = &sent {
            self.credentials.forget().await;
        }
        sent
    }
}
