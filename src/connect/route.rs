//! The way to an instance: looked up, signed, dialled.

use std::net::IpAddr;
use std::time::SystemTime;

use eice_proto::request::DEFAULT_EXPIRES;
use eice_proto::{Authority, EndpointId, Timestamp, TunnelRequest};

use super::connector::Connector;
use super::explain;
use crate::aws::{Chosen, Client, Instance, RouteRequest};
use crate::model::{Fault, InstanceTarget, Stage, StageError, StageObserver, staged};
use crate::tunnel::Tunnel;

/// The way to an instance.
pub(super) struct Route {
    pub(super) chosen: Chosen,
    pub(super) authority: Authority,
    /// The account that owns the instance, when it was looked up.
    pub(super) account: Option<String>,
}

/// Where a tunnel goes: all that a policy must allow of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Way {
    /// The region.
    pub region: String,
    /// The account that owns the instance, or, where nothing was looked up, that of the caller.
    pub account: String,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The private address.
    pub address: IpAddr,
}

impl Route {
    /// The way by `chosen` to an instance of `account`.
    pub(super) fn new(chosen: Chosen, account: Option<String>) -> Result<Self, StageError> {
        let authority = chosen.dns_name.parse().map_err(|error| {
            let message = format!("{:?} is not the DNS name of an endpoint", chosen.dns_name);
            StageError::new(Stage::Endpoint, Fault::Usage, message).with_source(error)
        })?;
        Ok(Self { chosen, authority, account })
    }
}

/// What is asked of the choice of an endpoint for `target`, which is `instance` where that was looked up.
pub(super) fn route_request<'a>(
    target: &'a InstanceTarget,
    instance: Option<&'a Instance>,
) -> RouteRequest<'a> {
    let mut request = RouteRequest::new(&target.endpoint, instance);
    request.address = target.private_address;
    request.family = target.address_family;
    request
}

impl Connector {
    /// Looks up what the target leaves open.
    pub(super) async fn route(
        &self,
        client: &Client,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<Route, StageError> {
        let region = Some(client.region());
        let instance = if target.needs_instance() {
            let lookup = staged(Stage::Instance, observer, client.instance(&target.instance)).await;
            Some(lookup.map_err(|error| explain::aws(Stage::Instance, error, target, region))?)
        } else {
            None
        };
        let request = route_request(target, instance.as_ref());
        let chosen = staged(Stage::Endpoint, observer, client.route(&request))
            .await
            .map_err(|error| explain::aws(explain::route_stage(&error), error, target, region))?;
        Route::new(chosen, instance.and_then(|instance| instance.owner))
    }

    /// The way to `target`, with all that was left open looked up. Nothing is dialled.
    ///
    /// # Errors
    /// Of the stages credentials to endpoint.
    pub async fn way(
        &self,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<Way, StageError> {
        let client = self.client(&target.account, target.region.as_deref(), observer).await?;
        let Route { chosen, account, .. } = self.route(&client, target, observer).await?;
        let account = match account {
            Some(account) => account,
            None => {
                let asked = client.caller_identity().await;
                asked.map_err(|error| explain::aws_call(Stage::Credentials, error))?.account
            }
        };
        let region = client.region().to_owned();
        Ok(Way { region, account, endpoint: chosen.id, address: chosen.address })
    }

    /// Signs and dials. What was looked up is forgotten when the service does not know it any more.
    pub(super) async fn dial(
        &self,
        client: &Client,
        route: &Route,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<Tunnel, StageError> {
        let credentials = client
            .credentials()
            .await
            .map_err(|error| explain::aws(Stage::Credentials, error, target, Some(client.region())))?;
        let mut request =
            TunnelRequest::new(route.authority.clone(), route.chosen.id.clone(), route.chosen.address)
                .with_port(target.port);
        if let Some(max_duration) = target.max_duration {
            request = request.with_max_duration(max_duration);
        }
        let now = Timestamp::from(SystemTime::now());
        let url = request.presign(&credentials, client.region(), now, Some(DEFAULT_EXPIRES));
        self.dialer.dial(&url, target.max_duration, observer).await.map_err(|error| {
            client.forget(&target.instance);
            explain::tunnel(error, target, route, client.region())
        })
    }
}
