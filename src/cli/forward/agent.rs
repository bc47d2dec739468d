//! `-A`: forwards the local ssh-agent to the instance.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::carry;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::ssh::ForwardListener;

/// The most concurrent connections to the agent; further ones are refused.
const MAX_CONNECTIONS: usize = 16;

/// The local agent.
#[derive(Clone, Debug)]
pub(crate) struct Agent(PathBuf);

impl Agent {
    /// Returns the agent at `SSH_AUTH_SOCK`.
    ///
    /// # Errors
    /// When the variable is unset, or no agent answers there.
    pub(crate) async fn of_environment() -> Result<Self, Failure> {
        let path = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).ok_or_else(|| {
            Failure::new(exit::CONFIG, "-A needs an ssh-agent, and SSH_AUTH_SOCK is not set")
                .with_hint("eval \"$(ssh-agent)\" starts one, ssh-add gives it a key")
        })?;
        let path = PathBuf::from(path);
        UnixStream::connect(&path).await.map_err(|error| {
            let message = format!("-A: no ssh-agent answers at SSH_AUTH_SOCK, {}", path.display());
            Failure::because(exit::UNAVAILABLE, message, &error)
        })?;
        Ok(Self(path))
    }

    /// Forwards the instance's connections to the agent, until the SSH connection ends.
    pub(crate) async fn serve(self, mut listener: ForwardListener) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                incoming = listener.next() => {
                    let Some(incoming) = incoming else { return };
                    let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
                    let path = self.0.clone();
                    connections.spawn(async move {
                        match UnixStream::connect(&path).await {
                            Ok(agent) => {
                                if let Err(error) = carry::carry(agent, incoming.accept().await).await {
                                    tracing::debug!(%error, "a connection to the agent broke");
                                }
                            }
                            Err(error) => {
                                tracing::debug!(%error, "the agent does not answer");
                                incoming.refuse().await;
                            }
                        }
                        drop(slot);
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}
