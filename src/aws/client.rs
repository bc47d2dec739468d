//! The AWS calls of one account in one region.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eice_proto::{Credentials, InstanceId};

use crate::terminal::{AddressFamily, EndpointChoice, OsUser};

use super::action::Action;
use super::cache::Cache;
use super::choice::{Choice, ChoiceError, Chosen, addresses, choose};
use super::credentials::CachedCredentials;
use super::error::{Error, Refusal};
use super::filter::{EndpointQuery, InstanceFilter};
use super::key_push;
use super::model::{Endpoint, Instance, InstanceState};
use super::query::Query;
use super::xml;

/// How long what AWS said of a running instance is believed.
const INSTANCE_TTL: Duration = Duration::from_secs(30);
/// How long what AWS said of usable endpoints is believed.
const ENDPOINT_TTL: Duration = Duration::from_secs(60);
/// The most answers of each kind that are kept.
const MAX_CACHED: usize = 1024;
/// The most pages of one answer that are read.
const MAX_PAGES: usize = 50;

/// What a tunnel is wanted to, for [`Client::route`].
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
}

/// The AWS calls of one account in one region.
#[derive(Debug)]
pub struct Client {
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

impl Client {
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

    /// Credentials to sign a tunnel with; renewed shortly before they expire.
    ///
    /// # Errors
    /// None were found, they could not be had, or not in time.
    pub async fn credentials(&self) -> Result<Credentials, Error> {
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
    /// [`Error::NotFound`] when there is no such instance; otherwise see [`Error`]. A stopped instance is no
    /// error here, it is one of [`Self::route`].
    pub async fn instance(&self, id: &InstanceId) -> Result<Instance, Error> {
        if let Some(instance) = self.known.instances.find(id, Instant::now()) {
            return Ok(instance);
        }
        let action = Action::DescribeInstances;
        let answer = self.query.call(action, &[("InstanceId.1".to_owned(), id.to_string())]).await?;
        let page =
            xml::instances(&answer).map_err(|what| Error::Malformed { action, what, request_id: None })?;
        let Some(instance) = page.items.into_iter().find(|instance| instance.id == *id) else {
            let message = format!("The answer names no instance {id}");
            let request_id = page.request_id.as_deref();
            let refusal = Refusal::new(action, 200, "InvalidInstanceID.NotFound", &message, request_id);
            return Err(Error::NotFound(Box::new(refusal)));
        };
        if instance.state == InstanceState::Running {
            self.known.instances.insert(id.clone(), instance.clone(), Instant::now());
        }
        Ok(instance)
    }

    /// The endpoints that `query` asks for, in AWS's order. An answer that holds any is believed for
    /// `ENDPOINT_TTL`.
    ///
    /// # Errors
    /// See [`Error`]. None found is an empty list, save that AWS refuses an id that it does not know.
    pub async fn endpoints(&self, query: &EndpointQuery) -> Result<Vec<Endpoint>, Error> {
        if let Some(endpoints) = self.known.endpoints.find(query, Instant::now()) {
            return Ok(endpoints);
        }
        let stop = |page: &[Endpoint]| {
            query.stop_at_subnet.is_some() && page.iter().any(|e| e.subnet_id == query.stop_at_subnet)
        };
        let action = Action::DescribeInstanceConnectEndpoints;
        let endpoints = self.pages(action, query.params(), xml::endpoints, stop).await?;
        if !endpoints.is_empty() && !query.any_state {
            self.known.endpoints.insert(query.clone(), endpoints.clone(), Instant::now());
        }
        Ok(endpoints)
    }

    /// The instances that fit `filter`, in AWS's order; those that run are believed for `INSTANCE_TTL` when they
    /// are then asked for by id.
    ///
    /// # Errors
    /// See [`Error`]. None found is an empty list.
    pub async fn find_instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, Error> {
        let action = Action::DescribeInstances;
        let found = self.pages(action, filter.params(), xml::instances, |_| false).await?;
        for instance in found.iter().filter(|instance| instance.state == InstanceState::Running) {
            self.known.instances.insert(instance.id.clone(), instance.clone(), Instant::now());
        }
        Ok(found)
    }

    /// What all pages of an answer hold, or those up to the first that `stop` is content with.
    async fn pages<T>(
        &self,
        action: Action,
        mut params: Vec<(String, String)>,
        read: fn(&[u8]) -> Result<xml::Page<T>, String>,
        stop: impl Fn(&[T]) -> bool,
    ) -> Result<Vec<T>, Error> {
        let fixed = params.len();
        let mut items = Vec::new();
        for _ in 0..MAX_PAGES {
            let answer = self.query.call(action, &params).await?;
            let page = read(&answer).map_err(|what| Error::Malformed { action, what, request_id: None })?;
            let next_token = page.next_token.filter(|_| !stop(&page.items));
            items.extend(page.items);
            let Some(token) = next_token else { return Ok(items) };
            params.truncate(fixed);
            params.push(("NextToken".to_owned(), token));
        }
        let what = format!("it has more than {MAX_PAGES} pages");
        Err(Error::Malformed { action, what, request_id: None })
    }

    /// Chooses the endpoint and the address, asking AWS for endpoints only where the caller has not said it
    /// all. The requests of a choice that succeeds are those of aws-cli; only a failure asks once more, to say
    /// why.
    ///
    /// # Errors
    /// [`Error::Choice`] when nothing fits; otherwise see [`Error`].
    pub async fn route(&self, request: &RouteRequest<'_>) -> Result<Chosen, Error> {
        let mut choice = Choice {
            instance: request.instance,
            endpoint: None,
            address: request.address,
            family: request.family,
            use_fips: self.use_fips,
            use_dualstack: self.use_dualstack,
        };
        // What the instance itself rules out needs no look-up.
        let wanted = addresses(&choice)?;
        let query = match request.endpoint {
            EndpointChoice::Known { id, dns_name } => {
                let address = wanted.first().copied().ok_or(ChoiceError::NoVpc)?;
                return Ok(Chosen::new(id.clone(), dns_name.as_str(), address));
            }
            EndpointChoice::Id(id) => {
                choice.endpoint = Some(id);
                EndpointQuery::by_id(id.clone())
            }
            EndpointChoice::Automatic => {
                let vpc_id = request.instance.and_then(|i| i.vpc_id.as_deref()).ok_or(ChoiceError::NoVpc)?;
                let subnet_id = request.instance.and_then(|i| i.subnet_id.clone());
                EndpointQuery::in_vpc(vpc_id).stop_at_subnet(subnet_id)
            }
        };
        let endpoints = self.endpoints(&query).await?;
        let error = match choose(&choice, &endpoints) {
            Ok(chosen) => return Ok(chosen),
            Err(error) => error,
        };
        self.known.endpoints.remove(&query);
        match error {
            ChoiceError::NoEndpoint { .. }
            | ChoiceError::NoSuchEndpoint { .. }
            | ChoiceError::AddressFamily { .. } => {
                let all = self.endpoints(&query.any_state()).await?;
                Ok(choose(&choice, &all)?)
            }
            error => Err(error.into()),
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
    /// See [`Error`].
    pub async fn send_ssh_public_key(
        &self,
        instance: &InstanceId,
        os_user: &OsUser,
        public_key: &str,
    ) -> Result<String, Error> {
        // Loaded first, so that a failure is told as one of credentials.
        self.credentials.load().await?;
        let sent = key_push::send(&self.key_push, &self.key_push_host, instance, os_user, public_key).await;
        match &sent {
            Err(Error::Rejected(_)) => self.credentials.forget().await,
            Err(Error::NotFound(_) | Error::State(_)) => self.forget(instance),
            _ => {}
        }
        sent
    }
}
