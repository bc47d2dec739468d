//! A private temporary folder for the peers' key and host keys.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder with mode 0700, removed on drop.
#[derive(Debug)]
pub(super) struct TempFolder(PathBuf);

impl TempFolder {
    /// # Errors
    /// When it cannot be created.
    pub(super) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("eice-bench-{}", uuid::Uuid::new_v4()));
        // Fails if it exists: under /tmp another user could have created it.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the file `name` with `mode`.
    ///
    /// # Errors
    /// When it cannot be written or exists already.
    pub(super) fn write(&self, name: &str, text: &str, mode: u32) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a private folder cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn folder_is_private_and_removed() {
        let folder = TempFolder::new().unwrap();
        let file = folder.write("key", "secret", 0o600).unwrap();
        assert_eq!(folder.path().metadata().unwrap().mode() & 0o777, 0o700);
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(folder.write("key", "again", 0o600).is_err());
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
