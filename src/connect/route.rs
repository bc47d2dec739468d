//! The way to an instance: looked up, signed, dialled.

use std::future::Future;
use std::time::{Instant, SystemTime};

use eice_proto::request::DEFAULT_EXPIRES;
use eice_proto::{Authority, Timestamp, TunnelRequest};

use super::connector::Connector;
use super::explain;
use crate::aws::{Chosen, Client, RouteRequest};
use crate::terminal::{
    EndpointChoice, Fault, InstanceTarget, Stage, StageError, StageEvent, StageObserver, StageState,
};
use crate::tunnel::Tunnel;

/// The way to an instance.
pub(super) struct Route {
    pub(super) chosen: Chosen,
    pub(super) authority: Authority,
    /// The account that owns the instance, when it was looked up.
    pub(super) account: Option<String>,
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
        let is_told = matches!(target.endpoint, EndpointChoice::Known { .. } | EndpointChoice::Id(_))
            && target.private_address.is_some();
        let instance = if is_told {
            None
        } else {
            let lookup = staged(Stage::Instance, observer, client.instance(&target.instance)).await;
            Some(lookup.map_err(|error| explain::aws(Stage::Instance, error, target, region))?)
        };
        let mut request = RouteRequest::new(&target.endpoint, instance.as_ref());
        request.address = target.private_address;
        request.family = target.address_family;
        let chosen = staged(Stage::Endpoint, observer, client.route(&request))
            .await
            .map_err(|error| explain::aws(explain::route_stage(&error), error, target, region))?;
        let authority = chosen.dns_name.parse().map_err(|error| {
            let message = format!("{:?} is not the DNS name of an endpoint", chosen.dns_name);
            StageError::new(Stage::Endpoint, Fault::Usage, message).with_source(error)
        })?;
        Ok(Route { chosen, authority, account: instance.and_then(|instance| instance.owner) })
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

/// Runs one stage of work and tells `observer` of it. Dropped under way it says nothing more: it was abandoned,
/// it did not fail.
pub(super) async fn staged<T, E>(
    stage: Stage,
    observer: &dyn StageObserver,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    observer.on_stage(StageEvent::new(stage, StageState::Started));
    let began = Instant::now();
    let result = work.await;
    let took = began.elapsed();
    let state = if result.is_ok() { StageState::Passed(took) } else { StageState::Failed(took) };
    observer.on_stage(StageEvent::new(stage, state));
    result
}
