//! Forwards connections of the builtin instance: to its loopback, and from its loopback to the client. Its
//! loopback is this machine's; other addresses and Unix sockets are not forwarded.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// The most concurrent forwarded connections of one SSH connection.
const MAX_CONNECTIONS: usize = 64;
/// The most ports that one SSH connection listens on.
const MAX_LISTENERS: usize = 16;

/// The forwards of one SSH connection; they end with it.
pub(super) struct Forwards {
    slots: Arc<Semaphore>,
    listeners: HashMap<(String, u32), DropGuard>,
    tasks: TaskTracker,
    stop: CancellationToken,
    dial_timeout: Duration,
}

impl Forwards {
    pub(super) fn new(tasks: TaskTracker, stop: CancellationToken, dial_timeout: Duration) -> Self {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        Self { slots, listeners: HashMap::new(), tasks, stop, dial_timeout }
    }

    /// Connects `channel` to `port` of the loopback.
    pub(super) async fn connect(
        &self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        host: &str,
        port: u32,
    ) {
        let target = match host {
            "localhost" => "127.0.0.1",
            "127.0.0.1" | "::1" => host,
            _ => return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await,
        };
        let permit = Arc::clone(&self.slots).try_acquire_owned();
        let (Ok(port), Ok(permit)) = (u16::try_from(port), permit) else {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        let (target, stop, timeout) = (target.to_owned(), self.stop.clone(), self.dial_timeout);
        self.tasks.spawn(async move {
            match tokio::time::timeout(timeout, TcpStream::connect((target, port))).await {
                Ok(Ok(target)) => {
                    reply.accept().await;
                    carry(channel.into_stream(), target, stop, permit).await;
                }
                _ => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
        });
    }

    /// Listens on `port` of the loopback, whatever the `address`, as sshd does without GatewayPorts. Port 0
    /// selects a free port.
    pub(super) async fn listen(&mut self, address: &str, port: &mut u32, handle: Handle) -> bool {
        let Ok(wanted) = u16::try_from(*port) else { return false };
        if self.listeners.len() >= MAX_LISTENERS {
            return false;
        }
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await else { return false };
        let Ok(at) = listener.local_addr() else { return false };
        *port = u32::from(at.port());
        let stop = self.stop.child_token();
        self.listeners.insert((address.to_owned(), *port), stop.clone().drop_guard());
        let listening = Listening {
            listener,
            address: address.to_owned(),
            port: *port,
            handle,
            slots: Arc::clone(&self.slots),
            stop,
        };
        self.tasks.spawn(listening.serve(self.tasks.clone()));
        true
    }

    /// Stops listening.
    pub(super) fn cancel(&mut self, address: &str, port: u32) -> bool {
        self.listeners.remove(&(address.to_owned(), port)).is_some()
    }
}

/// A port that the instance listens on for its client.
struct Listening {
    listener: TcpListener,
    address: String,
    port: u32,
    handle: Handle,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Listening {
    async fn serve(self, tasks: TaskTracker) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (Ok((stream, peer)), Ok(permit)) = (accepted, Arc::clone(&self.slots).try_acquire_owned())
            else {
                continue;
            };
            let (handle, address, port) = (self.handle.clone(), self.address.clone(), self.port);
            let stop = self.stop.clone();
            tasks.spawn(async move {
                let opening = handle.channel_open_forwarded_tcpip(
                    address,
                    port,
                    peer.ip().to_string(),
                    u32::from(peer.port()),
                );
                if let Ok(channel) = opening.await {
                    carry(channel.into_stream(), stream, stop, permit).await;
                }
            });
        }
    }
}

/// Copies bytes in both directions until both have ended, one fails, or `stop`.
async fn carry(
    mut channel: impl AsyncRead + AsyncWrite + Unpin,
    mut local: TcpStream,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut channel, &mut local) => {}
        () = stop.cancelled() => {}
    }
}
