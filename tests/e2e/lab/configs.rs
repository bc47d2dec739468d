//! A folder in the platform's workspace files, on this machine in place of an instance.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use super::reaper;
use super::user::{User, unique};
use super::wait::eventually;

/// The platform's folder of workspace files (docs/canvas.md, section 5). It belongs to root.
const PLATFORM: &str = "/opt/configs";

/// A folder in it that belongs to a test's user, removed recursively on drop.
#[derive(Debug)]
pub(crate) struct Configs {
    pub(crate) name: String,
    path: PathBuf,
}

impl Configs {
    #[track_caller]
    pub(crate) fn of(user: &User) -> Self {
        let name = unique("eice-configs");
        let path = Path::new(PLATFORM).join(&name);
        reaper::removes_folder(&path);
        // Another test may be removing the empty parent just now.
        eventually("the folder is made", || fs::create_dir_all(&path).ok());
        chown(&path, Some(user.uid), None).unwrap();
        Self { name, path }
    }

    /// Returns `path` in it, on this machine.
    pub(crate) fn there(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    /// Returns `path` in it as the platform names it: relative to the workspace's folder.
    pub(crate) fn rel(&self, path: &str) -> String {
        format!("{}/{path}", self.name)
    }
}

impl Drop for Configs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        // Only when empty: it may have existed before, or be in use by another test.
        let _ = fs::remove_dir(PLATFORM);
    }
}
