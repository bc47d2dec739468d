//! A local listener with a tunnel for each connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::TunnelArgs;
use crate::cli::bind::{ListenAddr, Listeners};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::progress::{Mode, Progress};
use crate::cli::ready::Ready;
use crate::cli::relay;
use crate::cli::stop::Signals;
use crate::connect::Connector;
use crate::model::InstanceTarget;

pub(super) async fn run(
    connector: Arc<Connector>,
    args: &TunnelArgs,
    address: &ListenAddr,
    signals: &mut Signals,
) -> Result<u8, Failure> {
    let progress = progress(args.verbose);
    let target = tokio::select! {
        target = args.to.locate(&connector, &args.instance, None, &progress) => target?,
        reason = signals.next() => return Ok(reason.status()),
    };
    let listeners = address.bind().await?;
    announce(&listeners, args)?;
    let forward = Arc::new(Forward {
        connector,
        target,
        slots: Semaphore::new(args.max_connections.into()),
        half_close_timeout: Duration::from_secs(args.half_close_timeout),
        verbose: args.verbose,
    });
    let mut open = JoinSet::new();
    tokio::select! {
        never = forward.serve(&listeners, &mut open) => match never {},
        _ = signals.stop(args.until_stdin_closes) => {}
    }
    drop(listeners);
    drain(&mut open, Duration::from_secs(args.drain_timeout), signals).await;
    // Dropping a tunnel closes it.
    open.shutdown().await;
    Ok(exit::OK)
}

/// Prints a line for each stage, or nothing: concurrent connections cannot share one rewritten line.
fn progress(verbose: bool) -> Progress {
    Progress::new(if verbose { Mode::Lines } else { Mode::Quiet })
}

/// Prints the listening addresses.
fn announce(listeners: &Listeners, args: &TunnelArgs) -> Result<(), Failure> {
    if args.json {
        let mut ready = Ready::new("tunnel", format!("tcp://{}", listeners.first()));
        ready.instance = Some(args.instance.to_string());
        ready
            .write(&mut io::stdout().lock())
            .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))
    } else {
        for address in listeners.addresses() {
            crate::cli::say(&format!("eice: listening on {address}\n"));
        }
        Ok(())
    }
}

/// Waits until the `open` connections have ended, at most for `limit`, or until the next signal.
async fn drain(open: &mut JoinSet<()>, limit: Duration, signals: &mut Signals) {
    while open.try_join_next().is_some() {}
    if open.is_empty() || limit.is_zero() {
        return;
    }
    let (count, secs) = (open.len(), limit.as_secs());
    crate::cli::say(&format!(
        "eice: no more connections are taken; {count} open have {secs} s to end, another signal closes them\n"
    ));
    let ended = async { while open.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout(limit, ended) => {}
        _ = signals.next() => {}
    }
}

struct Forward {
    connector: Arc<Connector>,
    target: InstanceTarget,
    slots: Semaphore,
    half_close_timeout: Duration,
    verbose: bool,
}

impl Forward {
    /// Accepts connections while polled.
    async fn serve(self: Arc<Self>, listeners: &Listeners, open: &mut JoinSet<()>) -> Infallible {
        loop {
            tokio::select! {
                (local, peer) = listeners.accept() => {
                    let forward = Arc::clone(&self);
                    open.spawn(async move { forward.connection(local, peer).await });
                }
                Some(_) = open.join_next() => {}
            }
        }
    }

    /// Serves one connection. Its errors are printed and end nothing else.
    async fn connection(&self, local: TcpStream, peer: SocketAddr) {
        let Ok(_slot) = self.slots.try_acquire() else {
            crate::cli::say(&format!("eice: {peer}: closed, --max-connections are open already\n"));
            return;
        };
        if let Err(failure) = self.carry(local).await {
            crate::cli::say(&format!("eice: connection from {peer} failed\n{}", failure.render()));
        }
    }

    async fn carry(&self, local: TcpStream) -> Result<(), Failure> {
        let tunnel = self.connector.open_tunnel(&self.target, &progress(self.verbose)).await?;
        let gone = relay::gone(&local);
        relay::stream(tunnel, local, gone, self.half_close_timeout).await.map(drop).map_err(super::failure)
    }
}
