//! Where an agent is found: a path that several processes may stand behind.
//!
//! Every ssh to one instance is told the same path, and each has a process of ours with a key of its own. So each process
//! listens on a socket of its own beside the path (`PATH.` and eight digits), and the path is a symbolic link to the
//! newest. Whichever of them an ssh finds, its key opens the instance. A process that ends hands the path over to another
//! that still lives, and takes it away when it was the last. All of that happens under a lock on the folder.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::Agent;
use super::place::Place;
use crate::listen;

/// The most clients at once; one more waits in the system's queue. An ssh is one client, for a moment.
const MAX_CLIENTS: usize = 32;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The path cannot be that of a socket.
    #[error("{} cannot be the path of a socket: {problem}", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Others could use or replace what is in the folder.
    #[error("the folder {} is not safe for an agent's socket: {problem}", .folder.display())]
    Unsafe {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Something else stands there.
    #[error("{} is there already and is no socket of eice's", .0.display())]
    Occupied(PathBuf),
    /// The system refuses.
    #[error("{action} {} failed", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError::Io { action, path, source }
}

/// A socket behind a path that other processes may share. Gone when it is dropped.
#[derive(Debug)]
pub struct AgentSocket {
    listener: UnixListener,
    place: Place,
    /// The name of the socket itself, in the folder.
    own: OsString,
}

impl AgentSocket {
    /// Listens behind `path`, in a folder that is made (mode 0700) where there is none and that nobody else may use. Needs
    /// a Tokio runtime; works on files for a moment.
    ///
    /// # Errors
    /// When the folder is another's, a link, or open to others; when the path is too long for a socket, or something else
    /// stands there; when the system refuses.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let place = Place::new(path)?;
        place.make_folder()?;
        let _lock = place.lock()?;
        place.is_free()?;
        place.remove_dead()?;
        let own = place.own_name();
        let socket = place.folder.join(&own);
        let listener = UnixListener::bind(&socket).map_err(failed("binding", &socket))?;
        // From here on dropping it removes what is there.
        let bound = Self { listener, place, own };
        fs::set_permissions(&socket, Permissions::from_mode(0o600))
            .map_err(failed("closing off", &socket))?;
        bound.place.lead_to(&bound.own)?;
        Ok(bound)
    }

    /// Answers by `agent` whoever is of our own user, or root. Comes to no end; when it is dropped, its clients are cut.
    pub async fn serve(&self, agent: &Agent) -> Infallible {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                    Ok((client, _)) if is_ours(&client) => {
                        let agent = agent.clone();
                        clients.spawn(async move { agent.serve(client).await });
                    }
                    Ok(_) => tracing::warn!("another user is kept from the agent"),
                    Err(error) => listen::failed(&error).await,
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

/// Whether the process at the other end may use the agent: of our user, or root, whom nothing keeps from it.
fn is_ours(client: &UnixStream) -> bool {
    client.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw() || peer.uid() == 0)
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        // Without the lock it is done all the same: at worst an ssh that connects right now finds nobody.
        let _lock = self.place.lock();
        let _ = fs::remove_file(self.place.folder.join(&self.own));
        if fs::read_link(&self.place.path).is_ok_and(|leads_to| leads_to == self.own) {
            let place = &self.place;
            let others = place.names().unwrap_or_default();
            let handed_over = others
                .iter()
                .any(|other| place.is_behind(other) && place.lives(other) && place.lead_to(other).is_ok());
            if !handed_over {
                let _ = fs::remove_file(&self.place.path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::DirBuilder;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use futures_util::FutureExt;
    use russh::keys::agent::client::AgentClient;

    use super::super::{EphemeralKey, KeyKnown};
    use super::*;

    /// A folder that is ours alone, and the path of a socket in it.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents/i-1-22-ubuntu");
        (folder, path)
    }

    fn agent(comment: &str) -> Agent {
        let known: KeyKnown = Arc::new(|| std::future::ready(true).boxed());
        Agent::new(EphemeralKey::generate().unwrap(), comment, known).unwrap()
    }

    /// Listens behind `path` with an agent that is told by its comment.
    fn serving(path: &Path, comment: &str) -> tokio::task::JoinHandle<()> {
        let (socket, agent) = (AgentSocket::bind(path).unwrap(), agent(comment));
        tokio::spawn(async move { match socket.serve(&agent).await {} })
    }

    async fn ended(serving: tokio::task::JoinHandle<()>) {
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
    }

    /// The comment of the key that a client finds behind `path`.
    async fn found(path: &Path) -> String {
        let mut client = AgentClient::connect_uds(path).await.unwrap();
        client.request_identities().await.unwrap()[0].comment().to_owned()
    }

    fn names(path: &Path) -> usize {
        fs::read_dir(path.parent().unwrap()).unwrap().count()
    }

    #[tokio::test]
    async fn the_newest_is_found_and_each_that_ends_hands_over_to_one_that_lives() {
        let (_folder, path) = place();
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
        assert_eq!(names(&path), 2, "the other's socket and link");
        ended(other).await;
        assert_eq!(names(&path), 0, "and nothing is left");
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_replaced_and_removed() {
        let (_folder, path) = place();
        // As a kill leaves it: the socket and the link are there, and nobody listens.
        let killed = AgentSocket::bind(&path).unwrap();
        let dead = killed.place.folder.join(&killed.own);
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
    async fn the_folder_is_made_and_closed_to_others_and_so_is_the_socket() {
        let (_folder, path) = place();
        let socket = AgentSocket::bind(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        drop(socket);
        assert!(fs::symlink_metadata(&path).is_err());
    }

    #[tokio::test]
    async fn a_folder_that_others_may_use_or_replace_is_refused() {
        let (folder, path) = place();
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
    async fn what_is_not_ours_is_not_replaced() {
        let (_folder, path) = place();
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
    fn a_path_that_no_socket_can_have_is_told_before_anything_is_made() {
        let (folder, _) = place();
        let long = folder.path().join("x".repeat(200));
        for path in [Path::new("relative/agent"), Path::new("/"), Path::new("/run/a/../b"), &long] {
            let error = AgentSocket::bind(path).unwrap_err();
            assert!(matches!(error, SocketError::Path { .. }), "{error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
