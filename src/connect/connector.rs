//! Connects to an instance: key push and dial run concurrently and join at authentication.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::concurrent::{Push, run_concurrently};
use super::config::{ConnectConfig, ConnectMethod, HostKeyMode};
use super::console;
use super::dial::{dial_direct, dial_tunnel};
use super::explain::{self, PeerContext};
use super::host::SshHost;
use super::resolve;
use super::route::{ConnectPath, Route, TunnelTarget};
use crate::aws::{Aws, AwsClient, partition};
#[cfg(feature = "gateway")]
use crate::docker::engine::Engine;
use crate::model::{Account, HostIds, InstanceTarget, Stage, StageError, StageObserver, staged};
use crate::ssh::{
    self, EphemeralKey, Handshake, HostKeyCheck, HostKeyPolicy, HostKeyScope, HostKeySource, LoginKey,
};
use crate::tunnel::{Dialer, Tunnel};

/// Opens hosts on EC2 instances through EC2 Instance Connect Endpoints.
pub struct Connector {
    pub(super) aws: Arc<Aws>,
    pub(super) dialer: Dialer,
    pub(super) host_keys: Arc<dyn HostKeySource>,
    config: ConnectConfig,
    /// The engine of the local containers.
    #[cfg(feature = "gateway")]
    engine: Option<Engine>,
    /// Decides whether the engine is used now; without it, always.
    #[cfg(feature = "gateway")]
    engine_condition: Option<EngineCondition>,
}

/// A condition that may change at run time.
#[cfg(feature = "gateway")]
pub type EngineCondition = Arc<dyn Fn() -> bool + Send + Sync>;

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("config", &self.config).finish_non_exhaustive()
    }
}

/// How long an instance accepts a pushed key (EC2 Instance Connect API reference, `SendSSHPublicKey`).
pub const PUSHED_KEY_LIFETIME: Duration = Duration::from_secs(60);

/// A key that the instance accepts for [`PUSHED_KEY_LIFETIME`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PushedKey {
    /// When the push began: the lifetime starts then or slightly later.
    pub at: Instant,
    /// The request id, as recorded by CloudTrail.
    pub request_id: String,
}

impl Connector {
    /// Returns a connector with `aws`'s credentials and `dialer`'s tunnels; host keys are pinned in
    /// `host_keys`.
    #[must_use]
    pub fn new(aws: Aws, dialer: Dialer, host_keys: Arc<dyn HostKeySource>, config: ConnectConfig) -> Self {
        Self {
            aws: Arc::new(aws),
            dialer,
            host_keys,
            config,
            #[cfg(feature = "gateway")]
            engine: None,
            #[cfg(feature = "gateway")]
            engine_condition: None,
        }
    }

    /// Also opens local workspaces: the containers of `engine`.
    #[cfg(feature = "gateway")]
    #[must_use]
    pub fn with_engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Opens local workspaces only while `condition` holds.
    #[cfg(feature = "gateway")]
    #[must_use]
    pub fn with_engine_condition(mut self, condition: EngineCondition) -> Self {
        self.engine_condition = Some(condition);
        self
    }

    /// Returns a connector with another connect method; credentials and cached lookups are shared.
    #[must_use]
    pub fn with_method(&self, method: ConnectMethod) -> Self {
        let mut connector = self.with_ssh_config(self.config.ssh.clone());
        connector.config.method = method;
        connector
    }

    /// Returns a connector with other SSH settings; credentials and cached lookups are shared.
    #[must_use]
    pub fn with_ssh_config(&self, ssh: ssh::Config) -> Self {
        Self {
            aws: Arc::clone(&self.aws),
            dialer: self.dialer.clone(),
            host_keys: Arc::clone(&self.host_keys),
            config: ConnectConfig { ssh, ..self.config.clone() },
            #[cfg(feature = "gateway")]
            engine: self.engine.clone(),
            #[cfg(feature = "gateway")]
            engine_condition: self.engine_condition.clone(),
        }
    }

    /// Opens a tunnel to the target's port, without a key push and without SSH.
    ///
    /// # Errors
    /// Errors of the stages credentials to upgrade.
    pub async fn open_tunnel(
        &self,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<Tunnel, StageError> {
        let client = self.client_of(target, observer).await?;
        let route = resolve::route(&client, target, observer).await?;
        dial_tunnel(&self.dialer, &client, &route, target, observer).await
    }

    /// Returns where a tunnel to `target` goes; everything left open is looked up. Nothing is dialed.
    ///
    /// # Errors
    /// Errors of the stages credentials to endpoint.
    pub async fn tunnel_target(
        &self,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<TunnelTarget, StageError> {
        let client = self.client_of(target, observer).await?;
        let Route { chosen, account, .. } = resolve::route(&client, target, observer).await?;
        let account = match account {
            Some(account) => account,
            None => {
                let asked = client.caller_identity().await;
                asked.map_err(|error| explain::from_aws_call(Stage::Credentials, error))?.account
            }
        };
        let region = client.region().to_owned();
        Ok(TunnelTarget { region, account, endpoint: chosen.id, address: chosen.address })
    }

    /// Pushes the public key `public`, one line in OpenSSH's format, so that its holder can log in to the
    /// target for [`PUSHED_KEY_LIFETIME`].
    ///
    /// # Errors
    /// Errors of the stages credentials and key push.
    pub async fn push_key(
        &self,
        target: &InstanceTarget,
        public: &str,
        observer: &dyn StageObserver,
    ) -> Result<PushedKey, StageError> {
        let client = self.client_of(target, observer).await?;
        self.push(&client, target, public, observer).await
    }

    /// Returns the engine of the local containers, if it is used now.
    #[cfg(feature = "gateway")]
    pub(super) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref().filter(|_| self.engine_condition.as_ref().is_none_or(|holds| holds()))
    }

    /// Returns the age at which a pushed key is pushed again.
    pub(super) fn max_key_age(&self) -> Duration {
        self.config.max_key_age
    }

    /// Returns the AWS client, for calls beyond those of a connection.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// Opens an SSH connection to the target, for callers that need more than a [`Host`](crate::model::Host) offers.
    ///
    /// Dropping the future abandons the attempt and leaves nothing behind.
    ///
    /// # Errors
    /// Errors of the stages credentials to authentication.
    pub async fn connect_ssh(
        &self,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<SshHost, StageError> {
        let method = &self.config.method;
        let client = self.client_of(target, observer).await?;
        let (key, public) = match &method.key {
            Some(key) => (key.clone(), None),
            None => {
                let key = EphemeralKey::generate().map_err(explain::from_key_generation)?;
                let public = key.public_openssh().map_err(explain::from_key_generation)?;
                (LoginKey::from(key), Some(public))
            }
        };

        let is_key_ready = AtomicBool::new(false);
        let push = Box::pin(async {
            let pushed = match &public {
                Some(public) => self.push(&client, target, public, observer).await.map(Some),
                None => Ok(None),
            };
            is_key_ready.store(true, Ordering::Relaxed);
            pushed
        });
        let (path, push) = run_concurrently(push, resolve::path(method, &client, target, observer)).await;
        let path = path?;
        let push = push.settled()?;
        // Boxed: the types of nested futures would exceed the compiler's depth limit in callers.
        let reached = Box::pin(async {
            let source = Arc::clone(&self.host_keys);
            let check = self.host_key_check(&client, path.account(), target, source).await?;
            let (mut shaken, peer) = match &path {
                ConnectPath::Endpoint(route) => {
                    let tunnel = dial_tunnel(&self.dialer, &client, route, target, observer).await?;
                    self.shake_hands(tunnel, check, route, target, observer).await?
                }
                ConnectPath::Direct { address, .. } => {
                    self.shake_hands_directly(*address, check, target, observer).await?
                }
            };
            // While a push is pending this costs nothing; when the key is available it would cost a round trip.
            if !is_key_ready.load(Ordering::Relaxed) {
                let begun = shaken.begin_authentication(observer).await;
                begun.map_err(|error| explain::from_ssh(error, &peer))?;
            }
            Ok((shaken, peer))
        });
        let ((shaken, peer), mut pushed) = match push {
            Push::Done(pushed) => (reached.await?, pushed),
            Push::Running(push) => futures_util::future::try_join(reached, push).await?,
        };

        let is_stale = pushed.as_ref().is_some_and(|pushed| pushed.at.elapsed() > self.config.max_key_age);
        if let Some(public) = &public
            && is_stale
            && !shaken.is_closed()
        {
            pushed = Some(self.push(&client, target, public, observer).await?);
        }
        log_in((shaken, peer), key, pushed, target, observer).await
    }

    /// Returns how host keys are verified.
    pub(super) fn host_key_mode(&self) -> HostKeyMode {
        self.config.host_keys
    }

    async fn client_of(
        &self,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<Arc<AwsClient>, StageError> {
        self.client(&target.account, target.region.as_deref(), observer).await
    }

    /// Returns the AWS client of `account` in `region`, with its credentials resolved.
    ///
    /// # Errors
    /// Errors of the stage credentials.
    pub async fn client(
        &self,
        account: &Account,
        region: Option<&str>,
        observer: &dyn StageObserver,
    ) -> Result<Arc<AwsClient>, StageError> {
        staged(Stage::Credentials, observer, async {
            let client = self.aws.client(account, region).await?;
            client.credentials().await?;
            Ok(client)
        })
        .await
        .map_err(|error| explain::from_aws_call(Stage::Credentials, error))
    }

    /// Pushes the public key `public`.
    pub(super) async fn push(
        &self,
        client: &AwsClient,
        target: &InstanceTarget,
        public: &str,
        observer: &dyn StageObserver,
    ) -> Result<PushedKey, StageError> {
        let at = Instant::now();
        let push = client.send_ssh_public_key(&target.instance, &target.os_user, public);
        let request_id = staged(Stage::KeyPush, observer, push)
            .await
            .map_err(|error| explain::from_aws(Stage::KeyPush, error, target, Some(client.region())))?;
        Ok(PushedKey { at, request_id })
    }

    /// Performs the SSH handshake over `tunnel`, up to authentication.
    pub(super) async fn shake_hands(
        &self,
        tunnel: Tunnel,
        check: HostKeyCheck,
        route: &Route,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<(Handshake, PeerContext), StageError> {
        let peer = PeerContext::new(target, route, &tunnel, self.host_keys.location().map(Path::to_owned));
        let mut config = self.config.ssh.clone();
        let status = tunnel.status();
        config.why_closed = Some(Arc::new(move || explain::close_reason(&status)));
        let shaken = ssh::handshake(tunnel, &config, check, &target.os_user, observer)
            .await
            .map_err(|error| explain::from_ssh(error, &peer))?;
        Ok((shaken, peer))
    }

    /// Performs the SSH handshake over TCP directly to `address`.
    async fn shake_hands_directly(
        &self,
        address: IpAddr,
        check: HostKeyCheck,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<(Handshake, PeerContext), StageError> {
        let stream = dial_direct(address, target, observer).await?;
        let peer = PeerContext::direct(target, address, self.host_keys.location().map(Path::to_owned));
        let shaken = ssh::handshake(stream, &self.config.ssh, check, &target.os_user, observer)
            .await
            .map_err(|error| explain::from_ssh(error, &peer))?;
        Ok((shaken, peer))
    }

    /// Returns the check of the host key against the pins in `source`. The pins are loaded here, before the
    /// dial, so that a console that has to be queried responds concurrently.
    pub(super) async fn host_key_check(
        &self,
        client: &Arc<AwsClient>,
        account: Option<&str>,
        target: &InstanceTarget,
        source: Arc<dyn HostKeySource>,
    ) -> Result<HostKeyCheck, StageError> {
        let policy = match self.config.host_keys {
            HostKeyMode::TrustOnFirstUse => HostKeyPolicy::TrustOnFirstUse,
            HostKeyMode::Console => HostKeyPolicy::Witnessed,
            HostKeyMode::Strict => HostKeyPolicy::Strict,
            HostKeyMode::DangerAcceptAny => return Ok(HostKeyCheck::danger_accept_any()),
        };
        let region = client.region();
        let owner = account.unwrap_or(HostKeyScope::UNKNOWN);
        let scope = HostKeyScope::new(partition(region), owner, region, &target.instance);
        let mut check = HostKeyCheck::pinned(scope, source, policy);
        // Without an account, no lookup was made: EC2 may not even be reachable, so the console is not queried
        // needlessly.
        if policy == HostKeyPolicy::Witnessed || account.is_some() {
            check = check.with_witness(console::witness(Arc::clone(client), target.instance.clone()));
        }
        check
            .prepare(&self.config.ssh.timeouts)
            .await
            .map_err(|error| explain::from_host_key_store(error, self.host_keys.location()))?;
        Ok(check)
    }
}

/// Authenticates with `key`, which was `pushed`.
pub(super) async fn log_in(
    (shaken, peer): (Handshake, PeerContext),
    key: impl Into<LoginKey>,
    pushed: impl Into<Option<PushedKey>>,
    target: &InstanceTarget,
    observer: &dyn StageObserver,
) -> Result<SshHost, StageError> {
    let connection =
        shaken.authenticate(key, observer).await.map_err(|error| explain::from_ssh(error, &peer))?;
    let key_push = pushed.into().map(|pushed| pushed.request_id);
    let ids = HostIds {
        key_push,
        tunnel: peer.tunnel_request_id.clone(),
        endpoint: peer.endpoint.as_ref().map(ToString::to_string),
    };
    Ok(SshHost::new(connection, target.shell.clone(), ids, peer))
}
