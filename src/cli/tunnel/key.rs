//! The key that logs in through a tunnel, where the tunnel is asked to push one.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgGroup, Args};
use futures_util::FutureExt;
use tokio::sync::mpsc;

use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::pushable_key;
use crate::connect::RefreshingKey;
use crate::model::{OsUser, StageError, StageEvent};
use crate::ssh::agent::{Agent, AgentSocket, KeyKnown, SocketError};
use crate::ssh::{self, EphemeralKey, PushableKey};

/// Which key is pushed, and for whom.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Keys", group = ArgGroup::new("key").multiple(false))]
pub(crate) struct KeyArgs {
    /// Make a key in memory, push it, and lend it to ssh by an agent on this socket
    #[arg(long, value_name = "SOCKET", group = "key", conflicts_with = "listen")]
    agent: Option<PathBuf>,

    /// Push this public key; the private half stays where it is, with ssh
    #[arg(long, value_name = "FILE.pub", group = "key", conflicts_with = "listen")]
    push_key: Option<PathBuf>,

    /// Login name that the key is pushed for; else the directory's, else ec2-user
    #[arg(long, short = 'l', value_name = "USER", requires = "key")]
    pub(super) os_user: Option<OsUser>,
}

/// A key, ready to be pushed.
pub(super) enum Key {
    /// Made here, and lent through a socket.
    Lent(AgentSocket, EphemeralKey),
    /// The user's own.
    Own(PushableKey),
}

impl KeyArgs {
    /// Makes the key or reads it, and listens where it is to be lent.
    pub(super) fn prepare(&self) -> Result<Option<Key>, Failure> {
        if let Some(path) = &self.agent {
            let key = EphemeralKey::generate().map_err(|error| no_key(&error))?;
            let socket = AgentSocket::bind(path).map_err(|error| refused(&error))?;
            return Ok(Some(Key::Lent(socket, key)));
        }
        self.push_key.as_deref().map(|file| pushable_key::from_file(file).map(Key::Own)).transpose()
    }
}

impl Key {
    /// What is pushed.
    pub(super) fn public(&self) -> Result<String, Failure> {
        match self {
            Self::Lent(_, key) => key.public_openssh().map_err(|error| no_key(&error)),
            Self::Own(key) => Ok(key.as_str().to_owned()),
        }
    }
}

fn no_key(error: &ssh::Error) -> Failure {
    Failure::because(exit::INTERNAL, "no key can be made", error)
}

fn refused(error: &SocketError) -> Failure {
    let (code, hint) = match error {
        SocketError::Unsafe { .. } => (exit::CONFIG, "it must be a folder of yours with mode 700"),
        SocketError::Occupied(_) => (exit::CONFIG, "remove it, or name another path"),
        SocketError::Path { .. } => {
            (exit::USAGE, "name a short absolute path: a system takes about 100 bytes")
        }
        _ => (exit::UNAVAILABLE, "see that the folder can be written and is on a local file system"),
    };
    Failure::because(code, "there can be no agent for ssh", error).with_hint(hint)
}

/// A key that is lent to ssh.
pub(super) struct Lent {
    agent: Agent,
    failures: mpsc::Receiver<StageError>,
}

impl Lent {
    /// Lends `key`, which is offered to ssh only after `kept` pushed it to the instance.
    pub(super) fn new(key: EphemeralKey, kept: Arc<RefreshingKey>) -> Result<Self, Failure> {
        // One failure is enough: it ends the tunnel.
        let (tell, failures) = mpsc::channel(1);
        let known: KeyKnown = Arc::new(move || {
            let (kept, tell) = (Arc::clone(&kept), tell.clone());
            async move {
                let known = kept.ensure_pushed(&|_: StageEvent| {}).await;
                known.map_err(|error| tell.try_send(error)).is_ok()
            }
            .boxed()
        });
        let agent = Agent::new(key, COMMENT, known).map_err(|error| no_key(&error))?;
        Ok(Self { agent, failures })
    }

    pub(super) fn agent(&self) -> Agent {
        self.agent.clone()
    }

    /// Waits until the key could not be pushed again for an ssh that came late.
    pub(super) async fn failed(&mut self) -> StageError {
        match self.failures.recv().await {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }
}

/// What `ssh -v` shows the key as.
const COMMENT: &str = "eice, in memory";
