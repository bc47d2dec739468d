//! Key push and dial side by side, joined at authentication.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::beside::{Push, beside};
use super::config::{Config, HostKeyMode};
use super::console;
use super::diagnose::Diagnosis;
use super::direct::{self, Approach, Reach};
use super::explain::{self, Place};
use super::host::SshHost;
use super::route::Route;
use crate::aws::{Aws, Client, partition};
#[cfg(feature = "gateway")]
use crate::docker::engine::Engine;
use crate::model::{
    Account, Connect, Host, HostIds, InstanceTarget, NotReady, Report, Stage, StageError, StageObserver,
    Target, staged,
};
use crate::ssh::{
    self, EphemeralKey, Handshake, HostKeyCheck, HostKeyPolicy, HostKeyScope, HostKeySource, LoginKey,
};
use crate::tunnel::{Dialer, Tunnel};

/// Opens hosts on EC2 instances through EC2 Instance Connect Endpoints.
pub struct Connector {
    pub(super) aws: Arc<Aws>,
    pub(super) dialer: Dialer,
    pub(super) host_keys: Arc<dyn HostKeySource>,
    config: Config,
    /// Opens the containers beside this program.
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

/// How long an instance knows a pushed key (EC2 Instance Connect API reference, `SendSSHPublicKey`).
pub const PUSHED_KEY_LIFETIME: Duration = Duration::from_secs(60);

/// A key that the instance knows for [`PUSHED_KEY_LIFETIME`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PushedKey {
    /// When the push began: the lifetime counts from there or a little later.
    pub at: Instant,
    /// The request, as CloudTrail has it.
    pub request_id: String,
}

impl Connector {
    /// Connects with `aws`'s credentials and `dialer`'s tunnels; host keys are pinned in `host_keys`.
    #[must_use]
    pub fn new(aws: Aws, dialer: Dialer, host_keys: Arc<dyn HostKeySource>, config: Config) -> Self {
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

    /// The same, which opens local workspaces as well: the containers of `engine`.
    #[cfg(feature = "gateway")]
    #[must_use]
    pub fn with_engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// The same, which opens local workspaces only while `condition` holds.
    #[cfg(feature = "gateway")]
    #[must_use]
    pub fn with_engine_condition(mut self, condition: EngineCondition) -> Self {
        self.engine_condition = Some(condition);
        self
    }

    /// The same by another `approach`: the credentials and what was looked up are shared.
    #[must_use]
    pub fn by(&self, approach: Approach) -> Self {
        let mut connector = self.tuned(self.config.ssh.clone());
        connector.config.approach = approach;
        connector
    }

    /// The same with SSH tuned by `ssh`: the credentials and what was looked up are shared.
    #[must_use]
    pub fn tuned(&self, ssh: ssh::Config) -> Self {
        Self {
            aws: Arc::clone(&self.aws),
            dialer: self.dialer.clone(),
            host_keys: Arc::clone(&self.host_keys),
            config: Config { ssh, ..self.config.clone() },
            #[cfg(feature = "gateway")]
            engine: self.engine.clone(),
            #[cfg(feature = "gateway")]
            engine_condition: self.engine_condition.clone(),
        }
    }

    /// Opens a tunnel to the target's port and nothing more: no key is pushed, no SSH is spoken.
    ///
    /// # Errors
    /// Of the stages credentials to upgrade.
    pub async fn open_tunnel(
        &self,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<Tunnel, StageError> {
        let client = self.client_of(target, observer).await?;
        let route = self.route(&client, target, observer).await?;
        self.dial(&client, &route, target, observer).await
    }

    /// Lets the holder of the key `public`, one line as OpenSSH writes it, log in to the target for
    /// [`PUSHED_KEY_LIFETIME`].
    ///
    /// # Errors
    /// Of the stages credentials and key push.
    pub async fn push_key(
        &self,
        target: &InstanceTarget,
        public: &str,
        observer: &dyn StageObserver,
    ) -> Result<PushedKey, StageError> {
        let client = self.client_of(target, observer).await?;
        self.push(&client, target, public, observer).await
    }

    /// Returns the engine of local workspaces, if it is used now.
    #[cfg(feature = "gateway")]
    pub(super) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref().filter(|_| self.engine_condition.as_ref().is_none_or(|holds| holds()))
    }

    /// How old a pushed key may be before it is pushed again.
    pub(super) fn max_key_age(&self) -> Duration {
        self.config.max_key_age
    }

    /// The AWS calls, for whoever asks more of them than a connection needs.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// Opens an SSH connection to the target, for whoever wants more of it than a [`Host`] gives.
    ///
    /// Dropping the future abandons the attempt and leaves nothing behind.
    ///
    /// # Errors
    /// Of the stages credentials to authentication.
    pub async fn connect_ssh(
        &self,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<SshHost, StageError> {
        let approach = &self.config.approach;
        let client = self.client_of(target, observer).await?;
        let (key, public) = match &approach.key {
            Some(key) => (key.clone(), None),
            None => {
                let key = EphemeralKey::generate().map_err(explain::key)?;
                let public = key.public_openssh().map_err(explain::key)?;
                (LoginKey::from(key), Some(public))
            }
        };

        let at_hand = AtomicBool::new(false);
        let push = Box::pin(async {
            let pushed = match &public {
                Some(public) => self.push(&client, target, public, observer).await.map(Some),
                None => Ok(None),
            };
            at_hand.store(true, Ordering::Relaxed);
            pushed
        });
        let (reach, push) = beside(push, self.reach(approach, &client, target, observer)).await;
        let reach = reach?;
        let push = push.settled()?;
        let reached = async {
            let source = Arc::clone(&self.host_keys);
            let check = self.host_key_check(&client, reach.account(), target, source).await?;
            let (mut shaken, place) = match &reach {
                Reach::Endpoint(route) => {
                    let tunnel = self.dial(&client, route, target, observer).await?;
                    self.shake_hands(tunnel, check, route, target, observer).await?
                }
                Reach::Direct { address, .. } => {
                    self.shake_hands_directly(*address, check, target, observer).await?
                }
            };
            // Beside a push that is under way it costs nothing; with the key at hand it would cost a round trip.
            if !at_hand.load(Ordering::Relaxed) {
                let begun = shaken.begin_authentication(observer).await;
                begun.map_err(|error| explain::ssh(error, &place))?;
            }
            Ok((shaken, place))
        };
        let ((shaken, place), mut pushed) = match push {
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
        log_in((shaken, place), key, pushed, target, observer).await
    }

    /// What is done about host keys.
    pub(super) fn host_key_mode(&self) -> HostKeyMode {
        self.config.host_keys
    }

    async fn client_of(
        &self,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<Arc<Client>, StageError> {
        self.client(&target.account, target.region.as_deref(), observer).await
    }

    /// The AWS calls of `account` in `region`, with credentials at hand.
    ///
    /// # Errors
    /// Of the stage credentials.
    pub async fn client(
        &self,
        account: &Account,
        region: Option<&str>,
        observer: &dyn StageObserver,
    ) -> Result<Arc<Client>, StageError> {
        staged(Stage::Credentials, observer, async {
            let client = self.aws.client(account, region).await?;
            client.credentials().await?;
            Ok(client)
        })
        .await
        .map_err(|error| explain::aws_call(Stage::Credentials, error))
    }

    /// Pushes `public`, the public half of a key.
    pub(super) async fn push(
        &self,
        client: &Client,
        target: &InstanceTarget,
        public: &str,
        observer: &dyn StageObserver,
    ) -> Result<PushedKey, StageError> {
        let at = Instant::now();
        let push = client.send_ssh_public_key(&target.instance, &target.os_user, public);
        let request_id = staged(Stage::KeyPush, observer, push)
            .await
            .map_err(|error| explain::aws(Stage::KeyPush, error, target, Some(client.region())))?;
        Ok(PushedKey { at, request_id })
    }

    /// SSH over `tunnel`, as far as it goes without the user.
    pub(super) async fn shake_hands(
        &self,
        tunnel: Tunnel,
        check: HostKeyCheck,
        route: &Route,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<(Handshake, Place), StageError> {
        let place = Place::new(target, route, &tunnel, self.host_keys.location().map(Path::to_owned));
        let mut config = self.config.ssh.clone();
        let status = tunnel.status();
        config.why_closed = Some(Arc::new(move || explain::close_reason(&status)));
        let shaken = ssh::handshake(tunnel, &config, check, &target.os_user, observer)
            .await
            .map_err(|error| explain::ssh(error, &place))?;
        Ok((shaken, place))
    }

    /// The same over TCP straight to `address`.
    async fn shake_hands_directly(
        &self,
        address: IpAddr,
        check: HostKeyCheck,
        target: &InstanceTarget,
        observer: &dyn StageObserver,
    ) -> Result<(Handshake, Place), StageError> {
        let stream = direct::dial(address, target, observer).await?;
        let place = Place::direct(target, address, self.host_keys.location().map(Path::to_owned));
        let shaken = ssh::handshake(stream, &self.config.ssh, check, &target.os_user, observer)
            .await
            .map_err(|error| explain::ssh(error, &place))?;
        Ok((shaken, place))
    }

    /// Which host keys pass, by what `source` has pinned. That is looked up here already, before the dial, so that
    /// the console, if it is to be asked, answers beside it.
    pub(super) async fn host_key_check(
        &self,
        client: &Arc<Client>,
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
        // Who spares EC2 the look-ups is not made to ask it without need: it may not even be reachable.
        if policy == HostKeyPolicy::Witnessed || account.is_some() {
            check = check.with_witness(console::witness(Arc::clone(client), target.instance.clone()));
        }
        check
            .prepare(&self.config.ssh.timeouts)
            .await
            .map_err(|error| explain::host_key_store(error, self.host_keys.location()))?;
        Ok(check)
    }
}

/// Authenticates with `key`, which was `pushed`.
pub(super) async fn log_in(
    (shaken, place): (Handshake, Place),
    key: impl Into<LoginKey>,
    pushed: impl Into<Option<PushedKey>>,
    target: &InstanceTarget,
    observer: &dyn StageObserver,
) -> Result<SshHost, StageError> {
    let connection = shaken.authenticate(key, observer).await.map_err(|error| explain::ssh(error, &place))?;
    let key_push = pushed.into().map(|pushed| pushed.request_id);
    let ids = HostIds {
        key_push,
        tunnel: place.tunnel_request_id.clone(),
        endpoint: place.endpoint.as_ref().map(ToString::to_string),
    };
    Ok(SshHost::new(connection, target.shell.clone(), ids, place))
}

impl Connect for Connector {
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Box<dyn Host>, StageError>> {
        Box::pin(async move {
            match target {
                Target::Instance(target) => {
                    let host = self.connect_ssh(target, observer).await?;
                    Ok(Box::new(host) as Box<dyn Host>)
                }
                Target::Local(target) => self.connect_local(target, observer).await,
            }
        })
    }

    fn ready<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<(), NotReady>> {
        Box::pin(async move {
            match target {
                Target::Instance(_) => Ok(()),
                Target::Local(target) => self.local_ready(target).await,
            }
        })
    }

    fn diagnose<'a>(
        &'a self,
        target: &'a Target,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Option<Report>> {
        Box::pin(async move {
            match target {
                Target::Instance(target) => {
                    Some(Self::diagnose(self, target, &Diagnosis::default(), observer).await)
                }
                Target::Local(target) => self.diagnose_local(target, observer).await,
            }
        })
    }
}
