//! From the first byte to an authenticated connection.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use russh::client::{self, AuthResult};
use russh::keys::PrivateKeyWithHashAlg;
use russh::{AlgorithmKind, MethodKind, MethodSet};
use tokio::io::{AsyncRead, AsyncWrite};

use super::config::Config;
use super::connection::Connection;
use super::forward::Offers;
use super::handler::Handler;
use super::host_keys::{HostKey, HostKeyCheck};
use super::link::{CutOnDrop, Link, Watched};
use super::{Error, LoginKey};
use crate::model::{OsUser, Stage, StageEvent, StageObserver, StageState};

/// An SSH connection whose keys are exchanged and whose user is yet to be authenticated.
///
/// Dropping it cuts the stream.
pub struct Handshake {
    connection: Connection,
    user: OsUser,
    /// How long authentication has taken so far, once it has begun.
    spent: Option<Duration>,
    is_authenticated: bool,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Identification, key exchange and the host key's check.
///
/// Dropping the future drops the stream.
///
/// # Errors
/// Of the stages banner and key exchange; see [`Error`].
pub async fn handshake<S>(
    stream: S,
    config: &Config,
    mut check: HostKeyCheck,
    user: &OsUser,
    observer: &dyn StageObserver,
) -> Result<Handshake, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let timeouts = &config.timeouts;
    check.prepare(timeouts).await?;

    let link = Link::new(config.why_closed.clone());
    let guard = CutOnDrop(Arc::clone(&link));
    let client = Arc::new(config.client(check.algorithms()?));
    let offers = Arc::<Offers>::default();
    let handler = Handler::new(Arc::clone(&link), Arc::clone(&offers));
    let mut connecting =
        Box::pin(client::connect_stream(client, Watched::new(stream, Arc::clone(&link)), handler));

    let mut banner = Timed::start(Stage::Banner, observer);
    let early = tokio::select! {
        biased;
        () = link.identified.cancelled() => None,
        early = &mut connecting => Some(early),
        () = tokio::time::sleep(timeouts.banner) => {
            return Err(match link.said() {
                Some(said) => Error::NotSsh { said },
                None => Error::Timeout { stage: Stage::Banner, after: timeouts.banner },
            });
        }
    };
    let early = match early {
        Some(Err(error)) if !link.identified.is_cancelled() => {
            return Err(banner_error(&link, error));
        }
        other => other,
    };
    banner.pass();

    let mut key_exchange = Timed::start(Stage::KeyExchange, observer);
    let connected = match early {
        Some(connected) => connected,
        None => within(Stage::KeyExchange, timeouts.key_exchange, connecting).await?,
    };
    let handle = connected.map_err(|error| key_exchange_error(&link, &check, error))?;
    let shown = link.offered.lock().unwrap_or_else(PoisonError::into_inner).take();
    check.judge(shown.map(HostKey::from), timeouts).await?;
    key_exchange.pass();

    let connection = Connection::new(handle, link, offers, guard, config.clone());
    Ok(Handshake { connection, user: user.clone(), spent: None, is_authenticated: false })
}

impl Handshake {
    /// Begins authentication without a key: the service request, by way of the `none` method.
    ///
    /// That takes two round trips and saves [`Handshake::authenticate`] one, so it is for the time in which the key
    /// is still on its way to the server. The stage is told as begun here; it passes with the key, and the time
    /// between the two is not counted.
    ///
    /// # Errors
    /// [`Error::KeyRefused`] when the server takes no public keys, or another of the stage authentication.
    pub async fn begin_authentication(&mut self, observer: &dyn StageObserver) -> Result<(), Error> {
        let stage = Timed::start(Stage::Authentication, observer);
        let after = self.connection.config().timeouts.authentication;
        let attempt = self.connection.handle_mut().authenticate_none(self.user.as_str());
        let answer = within(Stage::Authentication, after, attempt)
            .await?
            .map_err(|error| self.connection.failed(Stage::Authentication, error))?;
        match answer {
            AuthResult::Success => self.is_authenticated = true,
            AuthResult::Failure { .. } if self.connection.is_closed() => {
                return Err(self.connection.failed(Stage::Authentication, russh::Error::Disconnect));
            }
            AuthResult::Failure { remaining_methods, .. } if !offers_public_key(&remaining_methods) => {
                return Err(refused(&self.user, &remaining_methods));
            }
            AuthResult::Failure { .. } => {}
        }
        self.spent = Some(stage.pause());
        Ok(())
    }

    /// Public-key authentication with `key`.
    ///
    /// # Errors
    /// [`Error::KeyRefused`], or another of the stage authentication.
    pub async fn authenticate(
        mut self,
        key: impl Into<LoginKey>,
        observer: &dyn StageObserver,
    ) -> Result<Connection, Error> {
        let mut stage = match self.spent {
            Some(spent) => Timed::resume(Stage::Authentication, spent, observer),
            None => Timed::start(Stage::Authentication, observer),
        };
        if !self.is_authenticated {
            let after = self.connection.config().timeouts.authentication;
            let key = PrivateKeyWithHashAlg::new(key.into().private(), None);
            let attempt = self.connection.handle_mut().authenticate_publickey(self.user.as_str(), key);
            let answer = within(Stage::Authentication, after, attempt)
                .await?
                .map_err(|error| self.connection.failed(Stage::Authentication, error))?;
            match answer {
                AuthResult::Success => {}
                AuthResult::Failure { .. } if self.connection.is_closed() => {
                    return Err(self.connection.failed(Stage::Authentication, russh::Error::Disconnect));
                }
                AuthResult::Failure { remaining_methods, .. } => {
                    return Err(refused(&self.user, &remaining_methods));
                }
            }
        }
        stage.pass();
        Ok(self.connection)
    }

    /// Whether the connection is gone already: worth knowing before a key is pushed for it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

fn banner_error(link: &Link, error: russh::Error) -> Error {
    match (error, link.said()) {
        (russh::Error::Version | russh::Error::Utf8(_), Some(said)) => Error::NotSsh { said },
        (russh::Error::Disconnect | russh::Error::IO(_) | russh::Error::HUP, said) => {
            Error::Closed { stage: Stage::Banner, reason: link.reason(), said }
        }
        (error, Some(said)) => {
            tracing::debug!(%error, "no SSH identification");
            Error::NotSsh { said }
        }
        (error, None) => Error::Protocol { stage: Stage::Banner, source: error.into() },
    }
}

fn key_exchange_error(link: &Link, check: &HostKeyCheck, error: russh::Error) -> Error {
    match (error, check.missing()) {
        (russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, .. }, Some(missing)) => missing,
        (russh::Error::NoCommonAlgo { kind, theirs, .. }, _) => {
            Error::NoCommonAlgorithm { kind: format!("{kind:?}").to_lowercase(), theirs: theirs.join(", ") }
        }
        (error, _) => closed_or_protocol(link, Stage::KeyExchange, error),
    }
}

/// An end of the connection is told apart from a breach of the protocol.
pub(super) fn closed_or_protocol(link: &Link, stage: Stage, error: russh::Error) -> Error {
    match error {
        russh::Error::Disconnect
        | russh::Error::HUP
        | russh::Error::SendError
        | russh::Error::RecvError
        | russh::Error::IO(_) => {
            if let russh::Error::IO(error) = &error {
                link.ended(error.to_string());
            }
            Error::Closed { stage, reason: link.reason(), said: None }
        }
        error => Error::Protocol { stage, source: error.into() },
    }
}

fn offers_public_key(methods: &MethodSet) -> bool {
    methods.contains(&MethodKind::PublicKey)
}

fn refused(user: &OsUser, methods: &MethodSet) -> Error {
    Error::KeyRefused {
        user: user.to_string(),
        offered: methods.iter().map(|method| <&str>::from(method).to_owned()).collect(),
    }
}

/// `future`, or the stage's timeout.
pub(in crate::ssh) async fn within<T>(
    stage: Stage,
    after: Duration,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    tokio::time::timeout(after, future).await.map_err(|_| Error::Timeout { stage, after })
}

/// A stage under way; dropped before it passed, it failed.
pub(super) struct Timed<'a> {
    stage: Stage,
    /// Taken before it was resumed.
    spent: Duration,
    began: Instant,
    observer: &'a dyn StageObserver,
    is_over: bool,
}

impl<'a> Timed<'a> {
    pub(super) fn start(stage: Stage, observer: &'a dyn StageObserver) -> Self {
        observer.on_stage(StageEvent::new(stage, StageState::Started));
        Self::resume(stage, Duration::ZERO, observer)
    }

    /// The stage that was paused after `spent`.
    fn resume(stage: Stage, spent: Duration, observer: &'a dyn StageObserver) -> Self {
        Self { stage, spent, began: Instant::now(), observer, is_over: false }
    }

    /// Leaves the stage open, to be resumed after what it has taken so far.
    fn pause(mut self) -> Duration {
        self.is_over = true;
        self.took()
    }

    fn took(&self) -> Duration {
        self.spent + self.began.elapsed()
    }

    pub(super) fn pass(&mut self) {
        self.is_over = true;
        self.observer.on_stage(StageEvent::new(self.stage, StageState::Passed(self.took())));
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.observer.on_stage(StageEvent::new(self.stage, StageState::Failed(self.took())));
        }
    }
}
