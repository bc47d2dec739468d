//! The agent's socket, behind a path that several processes share.
//!
//! Every ssh to an instance uses the same path, and each has its own eice process with its own key. So each process
//! listens on its own socket next to the path (`PATH.` and eight digits), and the path is a symbolic link to the newest
//! one. Whichever agent an ssh reaches, its key opens the instance. A process that ends points the path to another live
//! socket, or removes it if there is none. All changes happen under a lock on the folder.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::Agent;
use super::error::{SocketError, failed};
use super::path::AgentPath;
use crate::listen;

/// The maximum number of concurrent clients; further ones wait in the backlog. An ssh is a client only briefly.
const MAX_CLIENTS: usize = 32;

/// A socket behind a path that other processes may share. It is removed on drop.
#[derive(Debug)]
pub struct AgentSocket {
    listener: UnixListener,
    shared: AgentPath,
    /// The name of this process's own socket in the folder.
    own: OsString,
}

impl AgentSocket {
    /// Listens behind `path`. Creates the folder (mode 0700) if it is missing; other users must not have access to it.
    /// Needs a Tokio runtime; blocks briefly on files.
    ///
    /// # Errors
    /// If the folder belongs to another user, is a link or is accessible to others; if the path is too long for a socket
    /// or occupied; if a system call fails.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let shared = AgentPath::new(path)?;
        shared.create_folder()?;
        let _lock = shared.lock()?;
        shared.check_free()?;
        shared.remove_dead()?;
        let own = shared.own_name();
        let socket = shared.folder.join(&own);
        let listener = UnixListener::bind(&socket).map_err(failed("binding", &socket))?;
        // From here on, dropping `bound` removes the socket.
        let bound = Self { listener, shared, own };
        fs::set_permissions(&socket, Permissions::from_mode(0o600))
            .map_err(failed("closing off", &socket))?;
        bound.shared.point_to(&bound.own)?;
        Ok(bound)
    }

    /// Serves `agent` to this user and root. Never returns; its clients are disconnected when it is dropped.
    pub async fn serve(&self, agent: &Agent) -> Infallible {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                    Ok((client, _)) if is_ours(&client) => {
                        let agent = agent.clone();
                        clients.spawn(async move { agent.serve(client).await });
                    }
                    Ok(_) => tracing::warn!("rejected another user's connection to the agent"),
                    Err(error) => listen::on_accept_error(&error).await,
                },
                Some(ended) = clients.join_next() => {
                    if let Ok(Err(error)) = ended {
                        tracing::debug!(%error, "a client of the agent ended");
                    }
                }
            }
        }
    }
}

/// Returns whether the client's process may use the agent: this user, or root, which cannot be kept out anyway.
fn is_ours(client: &UnixStream) -> bool {
    client.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw() || peer.uid() == 0)
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        // Without the lock, remove it anyway: at worst an ssh that connects right now finds no agent.
        let _lock = self.shared.lock();
        let _ = fs::remove_file(self.shared.folder.join(&self.own));
        if fs::read_link(&self.shared.path).is_ok_and(|leads_to| leads_to == self.own) {
            let shared = &self.shared;
            let others = shared.names().unwrap_or_default();
            let handed_over = others.iter().any(|other| {
                shared.is_behind(other) && shared.is_live(other) && shared.point_to(other).is_ok()
            });
            if !handed_over {
                let _ = fs::remove_file(&self.shared.path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::DirBuilder;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::sync::Arc;

    use futures_util::FutureExt;
    use russh::keys::agent::client::AgentClient;

    use super::super::{EphemeralKey, KeyKnown};
    use super::*;

    /// Creates a private folder, and returns the path of a socket in it.
    fn agent_path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents/i-1-22-ubuntu");
        (folder, path)
    }

    fn agent(comment: &str) -> Agent {
        let known: KeyKnown = Arc::new(|| std::future::ready(true).boxed());
        Agent::new(EphemeralKey::generate().unwrap(), comment, known).unwrap()
    }

    /// Listens behind `path` with an agent that `comment` identifies.
    fn serving(path: &Path, comment: &str) -> tokio::task::JoinHandle<()> {
        let (socket, agent) = (AgentSocket::bind(path).unwrap(), agent(comment));
        tokio::spawn(async move { match socket.serve(&agent).await {} })
    }

    async fn ended(serving: tokio::task::JoinHandle<()>) {
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
    }

    /// Returns the comment of the key that a client finds behind `path`.
    async fn found(path: &Path) -> String {
        let mut client = AgentClient::connect_uds(path).await.unwrap();
        client.request_identities().await.unwrap()[0].comment().to_owned()
    }

    fn names(path: &Path) -> usize {
        fs::read_dir(path.parent().unwrap()).unwrap().count()
    }

    #[tokio::test]
    async fn path_follows_the_newest_live_socket() {
        let (_folder, path) = agent_path();
        let first = serving(&path, "first");
        assert_eq!(found(&path).await, "first");
        let second = serving(&path, "second");
        assert_eq!(found(&path).await, "second");
        let other = serving(&path.with_file_name("i-1-22-ubuntu2"), "another instance's");
        ended(second).await;
        assert_eq!(found(&path).await, "first");
        let third = serving(&path, "third");
        ended(first).await;
        assert_eq!(found(&path).await, "third");
        ended(third).await;
        assert_eq!(names(&path), 2, "the other instance's socket and link");
        ended(other).await;
        assert_eq!(names(&path), 0, "nothing is left");
    }

    #[tokio::test]
    async fn dead_socket_is_replaced() {
        let (_folder, path) = agent_path();
        // A killed process leaves the socket and the link without a listener.
        let killed = AgentSocket::bind(&path).unwrap();
        let dead = killed.shared.folder.join(&killed.own);
        fs::remove_file(&dead).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        symlink("gone", dead.with_file_name("i-1-22-ubuntu.00000000.new")).unwrap();
        std::mem::forget(killed);
        let next = serving(&path, "next");
        assert!(!dead.exists());
        assert_eq!(found(&path).await, "next");
        ended(next).await;
        assert_eq!(names(&path), 0);
    }

    #[tokio::test]
    async fn folder_and_socket_are_private() {
        let (_folder, path) = agent_path();
        let socket = AgentSocket::bind(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        drop(socket);
        assert!(fs::symlink_metadata(&path).is_err());
    }

    #[tokio::test]
    async fn shared_folder_is_rejected() {
        let (folder, path) = agent_path();
        let agents = path.parent().unwrap();
        for mode in [0o701, 0o710, 0o770, 0o755, 0o707] {
            let _ = fs::remove_dir(agents);
            DirBuilder::new().create(agents).unwrap();
            fs::set_permissions(agents, Permissions::from_mode(mode)).unwrap();
            let error = AgentSocket::bind(&path).unwrap_err();
            assert!(matches!(error, SocketError::Unsafe { .. }), "{mode:o}: {error}");
        }
        fs::set_permissions(agents, Permissions::from_mode(0o700)).unwrap();
        let link = folder.path().join("link");
        symlink(agents, &link).unwrap();
        let error = AgentSocket::bind(&link.join("agent")).unwrap_err();
        assert!(matches!(error, SocketError::Unsafe { .. }), "{error}");
        let error = AgentSocket::bind(Path::new("/proc/self/agent")).unwrap_err();
        assert!(matches!(error, SocketError::Unsafe { .. } | SocketError::Io { .. }), "{error}");
    }

    #[tokio::test]
    async fn foreign_file_is_not_replaced() {
        let (_folder, path) = agent_path();
        drop(AgentSocket::bind(&path).unwrap());
        symlink("/etc/passwd", &path).unwrap();
        assert!(matches!(AgentSocket::bind(&path), Err(SocketError::Occupied(_))));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = AgentSocket::bind(&path).unwrap_err();
        assert!(matches!(error, SocketError::Occupied(_)), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn invalid_path_creates_nothing() {
        let (folder, _) = agent_path();
        let long = folder.path().join("x".repeat(200));
        for path in [Path::new("relative/agent"), Path::new("/"), Path::new("/run/a/../b"), &long] {
            let error = AgentSocket::bind(path).unwrap_err();
            assert!(matches!(error, SocketError::Path { .. }), "{error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
