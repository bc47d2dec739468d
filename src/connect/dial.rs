//! Dials an instance: a tunnel through an endpoint, or TCP without one.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use eice_proto::request::DEFAULT_EXPIRES;
use eice_proto::{Timestamp, TunnelRequest};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::explain;
use super::route::Route;
use crate::aws::AwsClient;
use crate::model::{Fault, InstanceTarget, Stage, StageError, StageObserver, staged};
use crate::tunnel::{Dialer, Tunnel};

/// The time limit for a TCP connection to the instance, the same as the tunnel's.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

/// Signs and dials. If that fails, cached lookups are dropped, since they may be outdated.
pub(super) async fn dial_tunnel(
    dialer: &Dialer,
    client: &AwsClient,
    route: &Route,
    target: &InstanceTarget,
    observer: &dyn StageObserver,
) -> Result<Tunnel, StageError> {
    let credentials = client
        .credentials()
        .await
        .map_err(|error| explain::from_aws(Stage::Credentials, error, target, Some(client.region())))?;
    let mut request =
        TunnelRequest::new(route.authority.clone(), route.chosen.id.clone(), route.chosen.address)
            .with_port(target.port);
    if let Some(max_duration) = target.max_duration {
        request = request.with_max_duration(max_duration);
    }
    let now = Timestamp::from(SystemTime::now());
    let url = request.presign(&credentials, client.region(), now, Some(DEFAULT_EXPIRES));
    dialer.dial(&url, target.max_duration, observer).await.map_err(|error| {
        client.forget(&target.instance);
        explain::from_tunnel(error, target, route, client.region())
    })
}

/// Opens TCP directly to the target's port at `address`. No proxy is used: they are for HTTPS.
pub(super) async fn dial_direct(
    address: IpAddr,
    target: &InstanceTarget,
    observer: &dyn StageObserver,
) -> Result<TcpStream, StageError> {
    let address = SocketAddr::new(address, target.port.get());
    let hint = format!(
        "check that {} is reachable and that the security group of {} lets port {} in; without a public \
         address an endpoint is required",
        address.ip(),
        target.instance,
        address.port()
    );
    let dialing = async {
        let stream = timeout(TCP_TIMEOUT, TcpStream::connect(address)).await.map_err(|_| {
            let message = format!("no connection to {address} within {} s", TCP_TIMEOUT.as_secs());
            StageError::new(Stage::Tcp, Fault::Timeout, message)
        })?;
        let stream = stream.map_err(|error| {
            StageError::new(Stage::Tcp, Fault::Network, format!("no connection to {address}"))
                .with_source(error)
        })?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        Ok(stream)
    };
    staged(Stage::Tcp, observer, dialing).await.map_err(|error: StageError| error.with_hint(hint))
}
