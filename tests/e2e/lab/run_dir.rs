//! A private folder that sshd trusts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::reaper;

/// A folder under /run, removed when it is dropped. Its parents belong to root and nobody else may write there:
/// sshd runs no AuthorizedKeysCommand from anywhere else, and a socket's path stays short.
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

    /// `name` in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes `text` to `name` in it, with `mode`.
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
