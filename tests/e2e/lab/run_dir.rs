//! Private folders that sshd trusts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::reaper;

/// A folder under /run, removed on drop. Its parents are writable by root only, which sshd requires for an
/// AuthorizedKeysCommand, and the paths of sockets stay short.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
}

impl RunDir {
    #[track_caller]
    pub(crate) fn new(what: &str) -> Self {
        let made = tempfile::Builder::new().prefix(&format!("eice-{what}-")).tempdir_in("/run");
        let path = made.expect("a folder can be made in /run").keep();
        reaper::removes_folder(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { path }
    }

    /// Returns the path of `name` in the folder.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes `text` to `name` in the folder, with `mode`.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
