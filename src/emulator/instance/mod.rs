//! The instance behind a tunnel: our own SSH server.

mod forward;
mod handler;
mod pipes;
mod run;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eice_proto::InstanceId;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Builtin;
use super::error::EmulatorError;
use super::state_dir::StateDir;
use super::world::World;
use crate::listen::accept;
use crate::model::processes;
use handler::Handler;

/// The most SSH connections of one instance at once.
const MAX_CONNECTIONS: usize = 256;
/// The most keys that one connection may try, sshd's MaxAuthTries.
const MAX_AUTH_ATTEMPTS: usize = 6;
/// How long a connection may take to log in, sshd's LoginGraceTime.
const LOGIN_GRACE: Duration = Duration::from_secs(120);
/// The variable that marks every process of an instance, so that none outlives the emulator.
const MARKER: &str = "EICE_EMULATED_INSTANCE";

/// Our own SSH server.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) address: SocketAddr,
    /// The host keys in OpenSSH's one-line format.
    pub(super) host_keys: Vec<String>,
    stop: CancellationToken,
    marker: String,
}

/// The state that all connections of an instance share.
#[derive(Clone, Debug)]
pub(super) struct InstanceContext {
    pub(super) world: Arc<World>,
    pub(super) id: InstanceId,
    pub(super) builtin: Arc<Builtin>,
    pub(super) home: PathBuf,
    pub(super) marker: String,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Instance {
    /// Starts the SSH server of the instance `id` on its own port.
    pub(super) async fn start(
        world: Arc<World>,
        id: &InstanceId,
        builtin: &Builtin,
        listen: std::net::IpAddr,
        state: &StateDir,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Result<Self, EmulatorError> {
        let key = host_key(state, id)?;
        let host_keys =
            vec![key.public_key().to_openssh().map_err(|error| EmulatorError::HostKey(error.into()))?];
        let home = match &builtin.cwd {
            Some(cwd) => cwd.clone(),
            None => state.directory(&format!("home-{id}"))?,
        };
        let address = SocketAddr::new(listen, 0);
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bound.await.map_err(|source| EmulatorError::Bind { address, source })?;
        let marker = format!("{id}.{}", uuid::Uuid::new_v4());
        let shared = InstanceContext {
            world,
            id: id.clone(),
            builtin: Arc::new(builtin.clone()),
            home,
            marker: marker.clone(),
            stop: stop.clone(),
            tasks: tasks.clone(),
        };
        tasks.spawn(serve(listener, Arc::new(server_config(key)), shared));
        Ok(Self { address, host_keys, stop, marker })
    }
}

impl Instance {
    /// Ends it and waits, within a bound, until all of its processes have ended.
    pub(super) async fn end(self) {
        self.stop.cancel();
        processes::kill(|| self.processes()).await;
    }

    /// Returns its processes. One that called `setsid` survives its connection, as on a real instance, but ends
    /// with the instance.
    fn processes(&self) -> Vec<rustix::process::Pid> {
        processes::marked(&format!("{MARKER}={}", self.marker))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop.cancel();
        processes::send(&self.processes(), rustix::process::Signal::KILL);
    }
}

fn server_config(key: PrivateKey) -> russh::server::Config {
    let mut methods = russh::MethodSet::empty();
    methods.push(russh::MethodKind::PublicKey);
    russh::server::Config {
        server_id: russh::SshId::Standard("SSH-2.0-eice_emulator".into()),
        methods,
        // Pushed keys are random: a delay would protect nothing.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        max_auth_attempts: MAX_AUTH_ATTEMPTS,
        inactivity_timeout: None,
        nodelay: true,
        ..russh::server::Config::default()
    }
}

async fn serve(listener: TcpListener, config: Arc<russh::server::Config>, shared: InstanceContext) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, peer) = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = accept(&listener) => accepted,
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else { continue };
        let (config, one) = (Arc::clone(&config), shared.clone());
        shared.tasks.spawn(async move {
            let logged_in = CancellationToken::new();
            let handler = Handler::new(one.clone(), peer, logged_in.clone());
            let serving = async {
                let session = russh::server::run_stream(config, stream, handler).await?;
                let handle = session.handle();
                tokio::pin!(session);
                tokio::select! {
                    ended = &mut session => return ended,
                    () = too_late(LOGIN_GRACE, &logged_in) => {}
                    () = one.stop.cancelled() => {}
                }
                let reason = russh::Disconnect::ByApplication;
                let _ = handle.disconnect(reason, "closing".into(), "en".into()).await;
                let _ = tokio::time::timeout(Duration::from_secs(1), session).await;
                Ok::<(), russh::Error>(())
            };
            let ended = tokio::select! {
                ended = serving => ended,
                () = async {
                    one.stop.cancelled().await;
                    tokio::time::sleep(Duration::from_secs(2)).await;
                } => Ok(()),
            };
            if let Err(error) = ended {
                tracing::debug!(instance = %one.id, %peer, %error, "SSH connection ended");
            }
            drop(permit);
        });
    }
}

/// Resolves after `grace` unless a user logs in before.
async fn too_late(grace: Duration, logged_in: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(grace) => {}
        () = logged_in.cancelled() => std::future::pending().await,
    }
}

/// Returns the host key in `state`, or creates one.
fn host_key(state: &StateDir, id: &InstanceId) -> Result<PrivateKey, EmulatorError> {
    let name = format!("{id}.hostkey");
    if let Some(stored) = state.read(&name)? {
        return PrivateKey::from_openssh(stored).map_err(|error| EmulatorError::HostKey(error.into()));
    }
    let mut seed = zeroize::Zeroizing::new([0_u8; 32]);
    rand::fill(&mut seed[..]);
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    let text = key.to_openssh(LineEnding::LF).map_err(|error| EmulatorError::HostKey(error.into()))?;
    state.write(&name, &text)?;
    Ok(key)
}

/// Returns cloud-init's console output for an instance with these host keys.
pub(super) fn console_output(id: &InstanceId, host_keys: &[String]) -> String {
    use russh::keys::{HashAlg, PublicKey};
    let mut text = format!("[    0.000000] Linux version 6.1.0 (emulated)\r\n{id} login: \r\n");
    text.push_str("<14>cloud-init: #############################################################\r\n");
    text.push_str("<14>cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n");
    for key in host_keys.iter().filter_map(|line| PublicKey::from_openssh(line).ok()) {
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        text.push_str(&format!("<14>cloud-init: 256 {fingerprint} root@{id} (ED25519)\r\n"));
    }
    text.push_str("<14>cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\r\n");
    text.push_str("<14>cloud-init: #############################################################\r\n");
    text.push_str("-----BEGIN SSH HOST KEY KEYS-----\r\n");
    for line in host_keys {
        text.push_str(&format!("{line} root@{id}\r\n"));
    }
    text.push_str("-----END SSH HOST KEY KEYS-----\r\n");
    text
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn login_cancels_the_grace_timer() {
        let logged_in = CancellationToken::new();
        too_late(Duration::ZERO, &logged_in).await;
        logged_in.cancel();
        let grace = too_late(Duration::from_millis(1), &logged_in);
        assert!(grace.now_or_never().is_none());
        let grace = too_late(Duration::from_millis(1), &logged_in);
        assert!(tokio::time::timeout(Duration::from_millis(20), grace).await.is_err());
    }
}
