//! Other ways than through an endpoint with a fresh key: straight to an address, or with a key of the user's own.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connector::Connector;
use super::explain;
use super::route::Route;
use crate::aws::Client;
use crate::model::{Fault, InstanceTarget, Stage, StageError, StageObserver, staged};
use crate::setters::setters;
use crate::ssh::LoginKey;

/// How long TCP to the instance may take; the tunnel's own limit.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

/// How an SSH connection is made. The default is through an endpoint, with a fresh key that is pushed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Approach {
    /// The instance's address, where it can be reached without an endpoint. The target's endpoint, private address
    /// and longest duration then play no part.
    pub direct: Option<IpAddr>,
    /// A key that the instance knows; none is pushed then.
    pub key: Option<LoginKey>,
}

/// Where a connection goes.
pub(super) enum Reach {
    Endpoint(Route),
    Direct {
        address: IpAddr,
        /// The account that owns the instance.
        account: Option<String>,
    },
}

impl Reach {
    /// The account that owns the instance, when it was looked up.
    pub(super) fn account(&self) -> Option<&str> {
        match self {
            Self::Endpoint(route) => route.account.as_deref(),
            Self::Direct { account, .. } => account.as_deref(),
        }
    }
}

impl Connector {
    /// Looks up what `approach` and `target` leave open. The instance is looked up for a direct connection as well: its
    /// host key is pinned in the same place as behind an endpoint.
    pub(super) async fn reach(
        &self,
        approach: &Approach,
        client: &Client,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<Reach, StageError> {
        let Some(address) = approach.direct else {
            return self.route(client, target, observer).await.map(Reach::Endpoint);
        };
        let lookup = staged(Stage::Instance, observer, client.instance(&target.instance)).await;
        let region = Some(client.region());
        let instance = lookup.map_err(|error| explain::aws(Stage::Instance, error, target, region))?;
        Ok(Reach::Direct { address, account: instance.owner })
    }
}

/// TCP straight to the target's port at `address`. No proxy stands in between: they are for HTTPS.
pub(super) async fn dial(
    address: IpAddr,
    target: &InstanceTarget,
    observer: &dyn StageObserver,
) -> Result<TcpStream, StageError> {
    let address = SocketAddr::new(address, target.port.get());
    let hint = format!(
        "check that {} can be reached from here and that the security group of {} lets port {} in; without a public \
         address it takes an endpoint",
        address.ip(),
        target.instance,
        address.port()
    );
    let dialling = async {
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
    staged(Stage::Tcp, observer, dialling).await.map_err(|error: StageError| error.with_hint(hint))
}

setters! {
    Approach {
        direct: Option<IpAddr>,
        key: Option<LoginKey>,
    }
}
