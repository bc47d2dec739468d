//! From the first byte to an authenticated connection.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use russh::client::{self, AuthResult};
use russh::keys::PrivateKeyWithHashAlg;
use russh::{AlgorithmKind, MethodKind, MethodSet};
use tokio::io::{AsyncRead, AsyncWrite};

use super::config::Config;
use super::connection::Connection;
use super::deadline::within;
use super::forward::ForwardListeners;
use super::handler::Handler;
use super::host_keys::{HostKey, HostKeyCheck};
use super::transport::{CutOnDrop, MonitoredStream, Transport};
use super::{Error, LoginKey};
use crate::model::{OsUser, Stage, StageObserver, StageTimer};

/// An SSH connection after the key exchange and before authentication.
///
/// Dropping it cuts the stream.
pub struct Handshake {
    connection: Connection,
    user: OsUser,
    /// The time that authentication has taken so far, once it has started.
    spent: Option<Duration>,
    is_authenticated: bool,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Performs identification, key exchange and the host key check.
///
/// Dropping the future drops the stream.
///
/// # Errors
/// Those of the stages banner and key exchange; see [`Error`].
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

    let transport = Transport::new(config.why_closed.clone());
    let guard = CutOnDrop(Arc::clone(&transport));
    let client = Arc::new(config.client(check.algorithms()?));
    let listeners = Arc::<ForwardListeners>::default();
    let handler = Handler::new(Arc::clone(&transport), Arc::clone(&listeners));
    let mut connecting = Box::pin(client::connect_stream(
        client,
        MonitoredStream::new(stream, Arc::clone(&transport)),
        handler,
    ));

    let timer = StageTimer::start(Stage::Banner, observer);
    let banner = tokio::select! {
        biased;
        () = transport.identified.cancelled() => Ok(None),
        early = &mut connecting => match early {
            Err(error) if !transport.identified.is_cancelled() => Err(banner_error(&transport, error)),
            early => Ok(Some(early)),
        },
        () = tokio::time::sleep(timeouts.banner) => Err(match transport.said() {
            Some(said) => Error::NotSsh { said },
            None => Error::Timeout { stage: Stage::Banner, after: timeouts.banner },
        }),
    };
    let early = timer.finish(banner)?;

    let timer = StageTimer::start(Stage::KeyExchange, observer);
    let connected = match early {
        Some(connected) => Ok(connected),
        None => within(Stage::KeyExchange, timeouts.key_exchange, connecting).await,
    };
    let connected = connected
        .and_then(|connected| connected.map_err(|error| key_exchange_error(&transport, &check, error)));
    let exchanged = match connected {
        Ok(handle) => {
            let shown = transport.offered.lock().unwrap_or_else(PoisonError::into_inner).take();
            check.judge(shown.map(HostKey::from), timeouts).await.map(|()| handle)
        }
        Err(error) => Err(error),
    };
    let handle = timer.finish(exchanged)?;

    let connection = Connection::new(handle, transport, listeners, guard, config.clone());
    Ok(Handshake { connection, user: user.clone(), spent: None, is_authenticated: false })
}

impl Handshake {
    /// Starts authentication without a key: sends the service request and the `none` method.
    ///
    /// This takes two round trips and saves [`Handshake::authenticate`] one, so it is useful while the key is still being
    /// pushed. It reports the start of the stage; the stage passes with the key, and the time in between is not
    /// counted.
    ///
    /// # Errors
    /// [`Error::KeyRefused`] if the server does not accept public keys, or another error of the stage authentication.
    pub async fn begin_authentication(&mut self, observer: &dyn StageObserver) -> Result<(), Error> {
        let stage = StageTimer::start(Stage::Authentication, observer);
        if let Err(error) = self.authenticate_none().await {
            stage.fail();
            return Err(error);
        }
        self.spent = Some(stage.pause());
        Ok(())
    }

    /// Authenticates with `key`.
    ///
    /// # Errors
    /// [`Error::KeyRefused`], or another error of the stage authentication.
    pub async fn authenticate(
        mut self,
        key: impl Into<LoginKey>,
        observer: &dyn StageObserver,
    ) -> Result<Connection, Error> {
        let stage = match self.spent {
            Some(spent) => StageTimer::resume(Stage::Authentication, spent, observer),
            None => StageTimer::start(Stage::Authentication, observer),
        };
        let result = self.authenticate_publickey(key.into()).await;
        stage.finish(result)?;
        Ok(self.connection)
    }

    async fn authenticate_none(&mut self) -> Result<(), Error> {
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
        Ok(())
    }

    async fn authenticate_publickey(&mut self, key: LoginKey) -> Result<(), Error> {
        if self.is_authenticated {
            return Ok(());
        }
        let after = self.connection.config().timeouts.authentication;
        let key = PrivateKeyWithHashAlg::new(key.private(), None);
        let attempt = self.connection.handle_mut().authenticate_publickey(self.user.as_str(), key);
        let answer = within(Stage::Authentication, after, attempt)
            .await?
            .map_err(|error| self.connection.failed(Stage::Authentication, error))?;
        match answer {
            AuthResult::Success => Ok(()),
            AuthResult::Failure { .. } if self.connection.is_closed() => {
                Err(self.connection.failed(Stage::Authentication, russh::Error::Disconnect))
            }
            AuthResult::Failure { remaining_methods, .. } => Err(refused(&self.user, &remaining_methods)),
        }
    }

    /// Returns whether the connection is already closed: check it before you push a key.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

fn banner_error(transport: &Transport, error: russh::Error) -> Error {
    match (error, transport.said()) {
        (russh::Error::Version | russh::Error::Utf8(_), Some(said)) => Error::NotSsh { said },
        (russh::Error::Disconnect | russh::Error::IO(_) | russh::Error::HUP, said) => {
            Error::Closed { stage: Stage::Banner, reason: transport.reason(), said }
        }
        (error, Some(said)) => {
            tracing::debug!(%error, "no SSH identification");
            Error::NotSsh { said }
        }
        (error, None) => Error::Protocol { stage: Stage::Banner, source: error.into() },
    }
}

fn key_exchange_error(transport: &Transport, check: &HostKeyCheck, error: russh::Error) -> Error {
    match (error, check.missing()) {
        (russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, .. }, Some(missing)) => missing,
        (russh::Error::NoCommonAlgo { kind, theirs, .. }, _) => {
            Error::NoCommonAlgorithm { kind: format!("{kind:?}").to_lowercase(), theirs: theirs.join(", ") }
        }
        (error, _) => transport.error(Stage::KeyExchange, error),
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
