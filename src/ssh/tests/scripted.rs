//! A server that follows a script, over an in-memory stream.

use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session};
use russh::{Channel, ChannelId, Sig};
use tokio::io::DuplexStream;

use crate::model::Stage;
use crate::ssh::EphemeralKey;

/// The server's behavior.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) refuse_pty: bool,
    pub(super) refuse_exec: bool,
    pub(super) ignore_requests: bool,
    pub(super) refuse_channel: bool,
    /// The stage in which the server never answers.
    pub(super) hangs_in: Option<Stage>,
    pub(super) exit: Exit,
    pub(super) open_channel_back: bool,
}

/// How the server's process ends, right after it wrote `hello`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Exit {
    #[default]
    Never,
    StatusAfterEof(u32),
    Signal,
    CloseOnly,
    Disconnect,
}

struct Scripted(Script);

/// Starts a server with `script`; its end of the stream is dropped with it.
pub(super) fn serve(script: Script) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(256 * 1024);
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
    let config =
        server::Config { keys: vec![key], auth_rejection_time: Duration::ZERO, ..Default::default() };
    tokio::spawn(async move {
        if let Ok(session) = server::run_stream(Arc::new(config), theirs, Scripted(script)).await {
            let _ = session.await;
        }
    });
    ours
}

pub(super) fn any_key() -> EphemeralKey {
    EphemeralKey::generate().unwrap()
}

impl server::Handler for Scripted {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: server::VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        if self.0.hangs_in == Some(Stage::Authentication) {
            std::future::pending::<()>().await;
        }
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.0.open_channel_back {
            session.channel_open_forwarded_tcpip("127.0.0.1", 1, "127.0.0.1", 2)?;
        }
        if self.0.hangs_in == Some(Stage::Channel) {
            std::future::pending::<()>().await;
        }
        if self.0.refuse_channel {
            drop(reply);
        } else {
            reply.accept().await;
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match (self.0.ignore_requests, self.0.refuse_pty) {
            (true, _) => Ok(()),
            (_, true) => session.channel_failure(channel),
            _ => session.channel_success(channel),
        }
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.0.ignore_requests {
            return Ok(());
        }
        if self.0.refuse_exec {
            return session.channel_failure(channel);
        }
        session.channel_success(channel)?;
        session.data(channel, &b"hello"[..])?;
        match self.0.exit {
            Exit::Never => {}
            Exit::StatusAfterEof(status) => {
                session.eof(channel)?;
                session.exit_status_request(channel, status)?;
                session.close(channel)?;
            }
            Exit::Signal => {
                session.exit_signal_request(channel, Sig::SEGV, true, "crashed", "")?;
                session.close(channel)?;
            }
            Exit::CloseOnly => session.close(channel)?,
            Exit::Disconnect => session.disconnect(russh::Disconnect::ByApplication, "out of order", "")?,
        }
        Ok(())
    }
}
