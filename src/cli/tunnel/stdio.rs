//! A tunnel on stdin and stdout.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::net::unix::pipe;

use super::TunnelArgs;
use super::key::{Key, Lent};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::progress::{Mode, Progress};
use crate::cli::relay;
use crate::cli::stdin::Stdin;
use crate::cli::stop::Signals;
use crate::connect::{Connector, RefreshingKey};
use crate::model::InstanceTarget;
use crate::tunnel::Tunnel;

pub(super) async fn run(
    connector: &Arc<Connector>,
    args: &TunnelArgs,
    signals: &mut Signals,
) -> Result<u8, Failure> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Err(Failure::new(
            exit::USAGE,
            "stdin and stdout are a terminal, and a tunnel is for a program",
        )
        .with_hint("`eice ssh` opens a shell; --listen takes connections; ssh's ProxyCommand runs this"));
    }
    // First, so that the agent's socket exists when ssh looks for it.
    let key = args.key.prepare()?;
    let progress = Progress::new(Mode::choose(false, args.verbose));
    let carrying = async {
        let target = args.to.locate(connector, &args.instance, args.key.os_user.clone(), &progress).await?;
        match key {
            None => {
                let tunnel = connector.open_tunnel(&target, &progress).await?;
                progress.clear();
                carry(tunnel).await
            }
            Some(key) => carry_with(key, connector, target, &progress).await,
        }
    };
    let ended = tokio::select! {
        ended = carrying => ended,
        reason = signals.next() => Ok(reason.status()),
    };
    progress.clear();
    ended
}

/// Copies until either side ends.
async fn carry(tunnel: Tunnel) -> Result<u8, Failure> {
    let stdin =
        Stdin::start().map_err(|error| Failure::because(exit::INTERNAL, "cannot read stdin", &error))?;
    let ended = relay::stdio(tunnel, stdin, tokio::io::stdout(), stdout_gone()).await;
    ended.map(|_| exit::OK).map_err(super::failure)
}

/// Copies, with `key` pushed to the instance concurrently with the dial.
///
/// A failed push does not abort the dial: the dial's error is more specific, and so the same problem is always reported
/// in the same way.
async fn carry_with(
    key: Key,
    connector: &Arc<Connector>,
    target: InstanceTarget,
    progress: &Progress,
) -> Result<u8, Failure> {
    let kept = Arc::new(RefreshingKey::new(Arc::clone(connector), target.clone(), key.public()?));
    let mut push = pin!(kept.ensure_pushed(progress));
    let mut pushed = None;
    let mut opening = pin!(connector.open_tunnel(&target, progress));
    let opened = loop {
        tokio::select! {
            opened = &mut opening => break opened,
            done = &mut push, if pushed.is_none() => pushed = Some(done),
        }
    };
    let tunnel = opened?;
    let is_known = pushed.transpose()?.is_some();
    match key {
        // No agent delays ssh, so the banner is held back until the key is pushed.
        Key::Own(_) => {
            if !is_known {
                push.await?;
            }
            progress.clear();
            carry(tunnel).await
        }
        Key::Lent(socket, private) => {
            progress.clear();
            let mut lent = Lent::new(private, Arc::clone(&kept))?;
            let agent = lent.agent();
            let failing = async {
                if !is_known {
                    if let Err(error) = push.await {
                        return error;
                    }
                    progress.clear();
                }
                lent.failed().await
            };
            tokio::select! {
                ended = carry(tunnel) => ended,
                never = socket.serve(&agent) => match never {},
                error = failing => Err(error.into()),
            }
        }
    }
}

/// Resolves when the reader of stdout has closed it; never for a file or a terminal.
pub(crate) async fn stdout_gone() {
    // A duplicate, because the watcher closes its descriptor; not made non-blocking, because that would affect every
    // process that shares the open file. Only its errors are awaited.
    let watched = io::stdout().as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd_unchecked);
    if let Ok(watched) = watched
        && watched.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
