//! `-R`: the instance listens, and its connections are forwarded to this machine.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use super::listen::Local;
use super::pool::{Lease, PooledConnection};
use super::spec::RemoteForward;
use super::{Shared, carry, print};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::ssh::{ForwardAddress, ForwardError, ForwardListener, IncomingForward};

/// How long a local connection may take: a firewall may drop packets silently.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes the instance listen for `forward` and returns the address.
pub(super) async fn listen(
    mut forward: RemoteForward,
    ssh: &PooledConnection,
) -> Result<(RemoteForward, ForwardListener), Failure> {
    let listener = ssh.host.listen(&forward.listen).await.map_err(|error| failed(&forward, &error))?;
    if let Some(address) = listener.address()
        && *address != forward.listen
    {
        print(&format!("{forward} listens on {address} of the instance"));
        forward.listen = address.clone();
    }
    Ok((forward, listener))
}

fn failed(forward: &RemoteForward, error: &ForwardError) -> Failure {
    let code = match error {
        ForwardError::Timeout { .. } => exit::TIMEOUT,
        _ => exit::UNAVAILABLE,
    };
    let failure = Failure::because(code, forward.to_string(), error);
    match error {
        ForwardError::NotListening => failure.with_hint(
            "it is forbidden there (AllowTcpForwarding, AllowStreamLocalForwarding, PermitListen in its sshd_config; \
             ports below 1024 are root's), or something listens there already; port 0 lets sshd choose",
        ),
        _ => failure,
    }
}

/// Accepts the instance's connections until the SSH connection ends.
pub(super) async fn serve(
    shared: Arc<Shared>,
    ssh: Arc<PooledConnection>,
    forward: RemoteForward,
    mut listener: ForwardListener,
) {
    while let Some(incoming) = listener.next().await {
        let (one, ssh, forward) = (Arc::clone(&shared), Arc::clone(&ssh), forward.clone());
        shared.spawn(async move { connection(&one, &ssh, &forward, incoming).await });
    }
    let why = ssh.host.closed().await.map(|why| format!(" ({why})")).unwrap_or_default();
    shared.complain(&format!("{forward} has ended: its SSH connection was closed{why}"));
}

async fn connection(
    shared: &Shared,
    ssh: &Arc<PooledConnection>,
    forward: &RemoteForward,
    incoming: IncomingForward,
) {
    let Some(_open) = shared.enter(format!("{forward}, from {}", incoming.from())) else { return };
    let _lease = Lease::on(ssh);
    match tokio::time::timeout(CONNECT_TIMEOUT, connect(&forward.to)).await {
        Ok(Ok(local)) => {
            if let Err(error) = carry::carry(local, incoming.accept().await).await {
                tracing::debug!(%forward, %error, "a forwarded connection broke");
            }
        }
        Ok(Err(error)) => {
            incoming.refuse().await;
            shared.complain(&format!("{forward}: cannot connect: {error}"));
        }
        Err(_) => {
            incoming.refuse().await;
            shared.complain(&format!("{forward}: no connection within {} s", CONNECT_TIMEOUT.as_secs()));
        }
    }
}

async fn connect(to: &ForwardAddress) -> std::io::Result<Local> {
    match to {
        ForwardAddress::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Either::Left(stream))
        }
        ForwardAddress::Socket(path) => Ok(Either::Right(UnixStream::connect(path).await?)),
    }
}
