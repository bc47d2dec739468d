//! One SSH connection to the instance: authentication and channel requests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eice_proto::InstanceId;
use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty, Sig};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::InstanceContext;
use super::forward::Forwards;
use super::run::{self, Start};
use crate::model::{Control, Signal, Size};

/// The most environment variables that a client may send for one channel.
const MAX_ENV: usize = 64;
/// The longest accepted name, value or command line.
const MAX_TEXT: usize = 128 * 1024;
/// The paths of the SFTP server on Debian, Amazon Linux and others.
const SFTP_SERVERS: [&str; 4] = [
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
];

pub(super) struct Handler {
    shared: InstanceContext,
    peer: SocketAddr,
    user: Option<String>,
    logged_in: CancellationToken,
    channels: HashMap<ChannelId, Open>,
    forwards: Forwards,
    /// Ends every process of the connection when it is dropped.
    stop: CancellationToken,
    _guard: DropGuard,
}

/// One open session channel.
struct Open {
    /// Taken when the process starts.
    channel: Option<Channel<Msg>>,
    env: HashMap<String, String>,
    pty: Option<(String, Size)>,
    control: Option<Arc<dyn Control>>,
    /// Set when the process has exited, even if the client has not closed the channel yet.
    ended: Arc<AtomicBool>,
    /// Ends the process when the channel is dropped.
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Handler {
    pub(super) fn new(shared: InstanceContext, peer: SocketAddr, logged_in: CancellationToken) -> Self {
        let stop = shared.stop.child_token();
        let forwards = Forwards::new(shared.tasks.clone(), stop.clone(), shared.world.dial_timeout);
        Self {
            shared,
            peer,
            user: None,
            logged_in,
            channels: HashMap::new(),
            forwards,
            _guard: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Returns whether this key was pushed for this user and has not expired.
    fn is_pushed(&self, user: &str, key: &PublicKey) -> bool {
        let users = &self.shared.builtin.users;
        if !users.is_empty() && !users.iter().any(|known| known == user) {
            return false;
        }
        let Ok(line) = key.to_openssh() else { return false };
        let offered = without_comment(&line);
        let id: &InstanceId = &self.shared.id;
        self.shared.world.active_keys(id, user).iter().any(|pushed| without_comment(pushed) == offered)
    }

    fn start(
        &mut self,
        id: ChannelId,
        command: Option<&str>,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(open) = self.channels.get_mut(&id) else { return session.channel_failure(id) };
        let Some(channel) = open.channel.take() else { return session.channel_failure(id) };
        let start = Start {
            user: self.user.as_deref().unwrap_or_default(),
            peer: self.peer,
            env: &open.env,
            pty: open.pty.as_ref(),
            command,
        };
        let terminal = match run::start(&self.shared, &start) {
            Ok(terminal) => terminal,
            Err(error) => {
                tracing::warn!(instance = %self.shared.id, %error, "cannot start a process");
                return session.channel_failure(id);
            }
        };
        session.channel_success(id)?;
        let control: Arc<dyn Control> = Arc::from(terminal.control);
        open.control = Some(Arc::clone(&control));
        let (reader, writer) = channel.split();
        let parts = run::Parts {
            input: terminal.input,
            output: terminal.output,
            control,
            ended: Arc::clone(&open.ended),
        };
        let carry = run::carry(parts, reader, writer, session.handle(), open.stop.clone());
        self.shared.tasks.spawn(carry);
        Ok(())
    }
}

/// Returns the algorithm and key of an OpenSSH public key line.
fn without_comment(line: &str) -> Option<(&str, &str)> {
    let mut parts = line.split_ascii_whitespace();
    Some((parts.next()?, parts.next()?))
}

/// Clamps a client's size to the limits of a terminal.
fn size(cols: u32, rows: u32) -> Size {
    let clamp = |count: u32| u16::try_from(count.clamp(1, u32::from(Size::MAX))).unwrap_or(1);
    Size::new(clamp(cols), clamp(rows)).unwrap_or_default()
}

/// Returns whether a variable is accepted: those of Debian's sshd, COLORTERM and TERM.
fn is_accepted_env(name: &str) -> bool {
    name == "LANG" || name == "COLORTERM" || name == "TERM" || name.starts_with("LC_")
}

impl russh::server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(if self.is_pushed(user, offer.public_key) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        if !self.is_pushed(user, key.public_key) {
            return Ok(Auth::reject());
        }
        self.user = Some(user.to_owned());
        self.logged_in.cancel();
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.retain(|_, open| !open.ended.load(Ordering::Acquire));
        if self.channels.len() >= self.shared.builtin.max_sessions {
            // OpenSSH's response beyond MaxSessions.
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        }
        let stop = self.stop.child_token();
        let open = Open {
            env: HashMap::new(),
            pty: None,
            control: None,
            ended: Arc::default(),
            _guard: stop.clone().drop_guard(),
            stop,
            channel: None,
        };
        self.channels.insert(channel.id(), Open { channel: Some(channel), ..open });
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.forwards.connect(channel, reply, host, port).await;
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.forwards.listen(address, port, session.handle()).await)
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.forwards.cancel(address, port))
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        cols: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.channels.get_mut(&id) {
            Some(open) if open.channel.is_some() && term.len() <= MAX_TEXT && !term.contains('\0') => {
                open.pty = Some((term.to_owned(), size(cols, rows)));
                session.channel_success(id)
            }
            _ => session.channel_failure(id),
        }
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let fits = is_accepted_env(name) && name.len() + value.len() <= MAX_TEXT && !value.contains('\0');
        match self.channels.get_mut(&id) {
            Some(open) if fits && open.env.len() < MAX_ENV => {
                open.env.insert(name.to_owned(), value.to_owned());
                session.channel_success(id)
            }
            _ => session.channel_failure(id),
        }
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.start(id, None, session)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match std::str::from_utf8(data) {
            Ok(line) if line.len() <= MAX_TEXT && !line.contains('\0') => self.start(id, Some(line), session),
            _ => session.channel_failure(id),
        }
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let server = SFTP_SERVERS.into_iter().find(|path| std::path::Path::new(path).exists());
        match server.filter(|_| name == "sftp") {
            Some(server) => self.start(id, Some(server), session),
            None => session.channel_failure(id),
        }
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        cols: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let size = size(cols, rows);
        if let Some(open) = self.channels.get_mut(&id) {
            if let Some((_, before)) = &mut open.pty {
                *before = size;
            }
            if let Some(control) = &open.control {
                let _ = control.resize(size).await;
            }
        }
        session.channel_success(id)
    }

    async fn signal(
        &mut self,
        id: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let signal = match signal {
            Sig::HUP => Signal::Hup,
            Sig::INT => Signal::Int,
            Sig::QUIT => Signal::Quit,
            Sig::TERM => Signal::Term,
            Sig::KILL => Signal::Kill,
            _ => return Ok(()),
        };
        if let Some(control) = self.channels.get(&id).and_then(|open| open.control.as_ref()) {
            let _ = control.signal(signal).await;
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&id);
        Ok(())
    }
}
