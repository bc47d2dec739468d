//! Resolves a target to a path.

use super::config::ConnectMethod;
use super::explain;
use super::route::{ConnectPath, Route, route_request};
use crate::aws::AwsClient;
use crate::model::{InstanceTarget, Stage, StageError, StageObserver, staged};

/// Looks up what the target leaves open.
pub(super) async fn route(
    client: &AwsClient,
    target: &InstanceTarget,
    observer: &dyn StageObserver,
) -> Result<Route, StageError> {
    let region = Some(client.region());
    let instance = if target.needs_instance() {
        let lookup = staged(Stage::Instance, observer, client.instance(&target.instance)).await;
        Some(lookup.map_err(|error| explain::from_aws(Stage::Instance, error, target, region))?)
    } else {
        None
    };
    let request = route_request(target, instance.as_ref());
    let chosen = staged(Stage::Endpoint, observer, client.route(&request))
        .await
        .map_err(|error| explain::from_aws(explain::route_stage(&error), error, target, region))?;
    Route::new(chosen, instance.and_then(|instance| instance.owner))
}

/// Looks up what `method` and `target` leave open. The instance is looked up for a direct connection as
/// well: its host key is pinned under the same scope as behind an endpoint.
pub(super) async fn path(
    method: &ConnectMethod,
    client: &AwsClient,
    target: &InstanceTarget,
    observer: &dyn StageObserver,
) -> Result<ConnectPath, StageError> {
    let Some(address) = method.direct else {
        return route(client, target, observer).await.map(ConnectPath::Endpoint);
    };
    let lookup = staged(Stage::Instance, observer, client.instance(&target.instance)).await;
    let region = Some(client.region());
    let instance = lookup.map_err(|error| explain::from_aws(Stage::Instance, error, target, region))?;
    Ok(ConnectPath::Direct { address, account: instance.owner })
}
