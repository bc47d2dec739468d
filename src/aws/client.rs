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

/// How long what AWS said of a running instance is believed.
const INSTANCE_TTL: Duration = Duration::from_secs(30);
/// How long what AWS said of usable endpoints is believed.
const ENDPOINT_TTL: Duration = Duration::from_secs(60);
/// The most answers of each kind that are kept.
const MAX_CACHED: usize = 1024;

/// What a tunnel is wanted to, for [`AwsClient::route`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteRequest<'a> {
    /// The endpoint that the caller wants.
    pub endpoint: &'a EndpointChoice,
    /// The instance, when it was looked up.
    pub instance: Option<&'a Instance>,
    /// The private address, when the caller names it.
    pub address: Option<std::net::IpAddr>,
    /// Which of the instance's addresses may be used.
    pub family: AddressFamily,
}

impl<'a> RouteRequest<'a> {
    /// A route by `endpoint`, to `instance`.
    #[must_use]
    pub fn new(endpoint: &'a EndpointChoice, instance: Option<&'a Instance>) -> Self {
        Self { endpoint, instance, address: None, family: AddressFamily::Any }
    }

    /// Which endpoints the choice is among; `None` when the caller knows it.
    ///
    /// # Errors
    /// The instance itself rules a tunnel out, or its VPC is not known.
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
    pub(super) known: Known,
}

/// What AWS said lately.
#[derive(Debug)]
pub(super) struct Known {
    instances: Cache<InstanceId, Instance>,
    endpoints: Cache<EndpointQuery, Vec<Endpoint>>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            instances: Cache::new(INSTANCE_TTL, MAX_CACHED),
            endpoints: Cache::new(ENDPOINT_TTL, MAX_CACHED),
        }
    }
}

impl AwsClient {
    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.query.region
    }

    /// Whether FIPS names are used.
    #[must_use]
    pub fn uses_fips(&self) -> bool {
        self.use_fips
    }

    /// How often a call is tried at most.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.query.retries.attempts
    }

    /// Credentials to sign a tunnel with; renewed shortly before they expire.
    ///
    /// # Errors
    /// None were found, they could not be had, or not in time.
    pub async fn credentials(&self) -> Result<Credentials, AwsError> {
        let loaded = self.credentials.load().await?;
        Ok(Credentials::new(
            loaded.access_key_id(),
            loaded.secret_access_key(),
            loaded.session_token().map(str::to_owned),
        ))
    }

    /// Looks `id` up; an answer that says it runs is believed for `INSTANCE_TTL`.
    ///
    /// # Errors
    /// [`AwsError::NotFound`] when there is no such instance; otherwise see [`AwsError`]. A stopped instance is no
    /// error here, it is one of [`Self::route`].
    pub async fn instance(&self, id: &InstanceId) -> Result<Instance, AwsError> {
        if let Some(instance) = self.known.instances.find(id, Instant::now()) {
            return Ok(instance);
        }
        let instance = self.describe_instance(id).await?.value;
        if instance.state == InstanceState::Running {
            self.known.instances.insert(id.clone(), instance.clone(), Instant::now());
        }
        Ok(instance)
    }

    /// The endpoints that `query` asks for, in AWS's order. An answer that holds any is believed for
    /// `ENDPOINT_TTL`.
    ///
    /// # Errors
    /// See [`AwsError`]. None found is an empty list, save that AWS refuses an id that it does not know.
    pub async fn endpoints(&self, query: &EndpointQuery) -> Result<Vec<Endpoint>, AwsError> {
        if let Some(endpoints) = self.known.endpoints.find(query, Instant::now()) {
            return Ok(endpoints);
        }
        let endpoints = self.describe_endpoints(query).await?.value;
        if !endpoints.is_empty() && !query.any_state {
            self.known.endpoints.insert(query.clone(), endpoints.clone(), Instant::now());
        }
        Ok(endpoints)
    }

    /// The instances that fit `filter`, in AWS's order; those that run are believed for `INSTANCE_TTL` when they
    /// are then asked for by id.
    ///
    /// # Errors
    /// See [`AwsError`]. None found is an empty list.
    pub async fn find_instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, AwsError> {
        let action = Action::DescribeInstances;
        let found = self.pages(action, filter.params(), xml::instances, |_| false).await?.value;
        for instance in found.iter().filter(|instance| instance.state == InstanceState::Running) {
            self.known.instances.insert(instance.id.clone(), instance.clone(), Instant::now());
        }
        Ok(found)
    }

    /// Chooses the endpoint and the address, asking AWS for endpoints only where the caller has not said it
    /// all. The requests of a choice that succeeds are those of aws-cli; only a failure asks once more, to say
    /// why.
    ///
    /// # Errors
    /// [`AwsError::Choice`] when nothing fits; otherwise see [`AwsError`].
    pub async fn route(&self, request: &RouteRequest<'_>) -> Result<ChosenEndpoint, AwsError> {
        // What the instance itself rules out needs no look-up.
        let Some(query) = request.query()? else { return Ok(self.choose(request, &[])?) };
        let endpoints = self.endpoints(&query).await?;
        let error = match self.choose(request, &endpoints) {
            Ok(chosen) => return Ok(chosen),
            Err(error) => error,
        };
        self.known.endpoints.remove(&query);
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

    /// Chooses the endpoint and the address among `endpoints`, asking nobody. Those that cannot be used may be
    /// among them, and only serve to say why there is no choice. One that the caller knows is taken as it is.
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

    /// Drops what is known of `instance` and of all endpoints: a tunnel to it failed, so something changed.
    pub fn forget(&self, instance: &InstanceId) {
        self.known.instances.remove(instance);
        self.known.endpoints.remove_if(|_, _| true);
    }

    /// Pushes `public_key` (`ssh-ed25519 AAAA…`) for `os_user` on `instance`, where it is good for 60 s. The
    /// result is the request id.
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

    /// Pushes a key that somebody else made, or to something that is perhaps no instance. The result is the request
    /// id.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn push_key(&self, push: &KeyPush<'_>) -> Result<String, AwsError> {
        // Loaded first, so that a failure is told as one of credentials.
        self.credentials.load().await?;
        let sent = key_push::send(&self.key_push, &self.key_push_host, push).await;
        if let Err(AwsError::Rejected(_)) = &sent {
            self.credentials.forget().await;
        }
        sent
    }
}
