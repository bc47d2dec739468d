//! Host keys in a JSON file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{HostKey, HostKeyScope, HostKeySource, KeyOrigin, Known, Learned, Pins, StoreError};

/// The maximum size of the store, in bytes: some 30,000 instances.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The version of the file format.
const VERSION: u32 = 1;

/// Host keys in a JSON file that several processes may share.
///
/// The file is replaced atomically and readable by its owner only (mode 0600, a new folder 0700). A lock file next to
/// it serializes writers. It is read on each access, so that an edit takes effect at once. A missing file is an empty
/// store; an unreadable or invalid one is an error.
#[derive(Clone, Debug)]
pub struct FileHostKeys {
    path: PathBuf,
}

/// The content of the file. Older versions wrote no `last_seen`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    version: u32,
    hosts: Pins,
}

impl FileHostKeys {
    /// Creates a store in the file `path`; nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        let path = self.path.clone();
        move |source| StoreError::Io { path, action, source }
    }

    fn corrupt(&self, problem: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), problem: problem.into() }
    }

    /// Reads all pinned keys. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] if the file exists and is unreadable or invalid.
    pub fn read(&self) -> Result<Pins, StoreError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Pins::default());
            }
            Err(error) => return Err(self.io("opening")(error)),
        };
        let mut text = String::new();
        file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(self.io("reading"))?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(self.corrupt(format!("it is larger than {MAX_FILE_BYTES} bytes")));
        }
        let layout: Layout = serde_json::from_str(&text).map_err(|error| self.corrupt(error.to_string()))?;
        if layout.version != VERSION {
            return Err(self.corrupt(format!("its version is {}, not {VERSION}", layout.version)));
        }
        layout.hosts.check().map_err(|problem| self.corrupt(problem))?;
        Ok(layout.hosts)
    }

    /// Changes the pinned keys atomically across processes. `change` returns its result and whether to write the file.
    /// Blocks, also while others write.
    ///
    /// # Errors
    /// [`StoreError`] if the file is unreadable, invalid or cannot be written, and the errors of `change`.
    pub fn edit<T>(
        &self,
        change: impl FnOnce(&mut Pins) -> Result<(T, bool), StoreError>,
    ) -> Result<T, StoreError> {
        let _lock = self.lock()?;
        self.edit_locked(change)
    }

    fn edit_locked<T>(
        &self,
        change: impl FnOnce(&mut Pins) -> Result<(T, bool), StoreError>,
    ) -> Result<T, StoreError> {
        let mut pins = self.read()?;
        let (result, has_changed) = change(&mut pins)?;
        if has_changed {
            self.replace(pins)?;
        }
        Ok(result)
    }

    /// Holds the writers' lock until the file is dropped.
    fn lock(&self) -> Result<File, StoreError> {
        let lock = self.lock_file()?;
        lock.lock().map_err(self.io("locking"))?;
        Ok(lock)
    }

    fn lock_file(&self) -> Result<File, StoreError> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(self.io("making its folder"))?;
        }
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.sibling(".lock"))
            .map_err(self.io("opening its lock"))
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    }

    /// Replaces the file atomically. The caller holds the lock, so one name for the new file is enough.
    fn replace(&self, hosts: Pins) -> Result<(), StoreError> {
        let layout = Layout { version: VERSION, hosts };
        let mut text = serde_json::to_vec_pretty(&layout).map_err(|error| StoreError::Other(error.into()))?;
        text.push(b'\n');
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(StoreError::Full(format!("it would be larger than {MAX_FILE_BYTES} bytes")));
        }
        let fresh = self.sibling(".new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.io("clearing")(error)),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(self.io("writing"))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(self.io("writing"))?;
        fs::rename(&fresh, &self.path).map_err(self.io("replacing"))
    }

    /// Records that `key` was seen, unless another process is writing: then the next connection records it.
    fn note_blocking(&self, scope: &HostKeyScope, key: &HostKey) -> Result<(), StoreError> {
        let lock = self.lock_file()?;
        match lock.try_lock() {
            Ok(()) => self.edit_locked(|pins| Ok(((), pins.note(scope, key, SystemTime::now())))),
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(error)) => Err(self.io("locking")(error)),
        }
    }
}

/// Runs file operations where blocking is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Other(error.into()))?
}

impl HostKeySource for FileHostKeys {
    fn known<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<Known, StoreError>> {
        let (store, scope) = (self.clone(), scope.clone());
        Box::pin(blocking(move || store.read()?.known(&scope, SystemTime::now())))
    }

    fn learn<'a>(
        &'a self,
        scope: &'a HostKeyScope,
        keys: &'a [HostKey],
        origin: KeyOrigin,
    ) -> BoxFuture<'a, Result<Learned, StoreError>> {
        let (store, scope, keys) = (self.clone(), scope.clone(), keys.to_vec());
        Box::pin(blocking(move || {
            store.edit(|pins| {
                let learned = pins.learn(&scope, &keys, origin, SystemTime::now())?;
                let has_changed = learned == Learned::Added;
                Ok((learned, has_changed))
            })
        }))
    }

    fn note<'a>(
        &'a self,
        scope: &'a HostKeyScope,
        key: &'a HostKey,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (store, scope, key) = (self.clone(), scope.clone(), key.clone());
        Box::pin(blocking(move || store.note_blocking(&scope, &key)))
    }

    fn forget<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<usize, StoreError>> {
        let (store, scope) = (self.clone(), scope.clone());
        Box::pin(blocking(move || {
            store.edit(|pins| {
                let forgotten = pins.forget(&scope);
                Ok((forgotten, forgotten > 0))
            })
        }))
    }

    fn location(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::ssh::EphemeralKey;

    fn key() -> HostKey {
        HostKey::parse(&EphemeralKey::generate().unwrap().public_openssh().unwrap()).unwrap()
    }

    fn scope(instance: &str) -> HostKeyScope {
        HostKeyScope::new("aws", "123456789012", "eu-west-1", &instance.parse().unwrap())
    }

    async fn known(store: &FileHostKeys, scope: &HostKeyScope) -> Vec<HostKey> {
        store.known(scope).await.unwrap().keys
    }

    #[tokio::test]
    async fn first_key_is_pinned_across_processes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/hosts.json");
        let (one, two) = (FileHostKeys::new(&path), FileHostKeys::new(&path));
        let (scope, first, second) = (scope("i-1"), [key()], [key()]);
        assert_eq!(known(&one, &scope).await, []);
        assert_eq!(one.learn(&scope, &first, KeyOrigin::FirstUse).await.unwrap(), Learned::Added);
        assert_eq!(two.learn(&scope, &first, KeyOrigin::FirstUse).await.unwrap(), Learned::Known);
        assert_eq!(
            two.learn(&scope, &second, KeyOrigin::FirstUse).await.unwrap(),
            Learned::Conflict(first.to_vec())
        );
        assert_eq!(known(&two, &scope).await, first);
        assert_eq!(known(&two, &self::scope("i-2")).await, []);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let parent = path.parent().unwrap();
        assert_eq!(fs::metadata(parent).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(one.forget(&scope).await.unwrap(), 1);
        assert_eq!(two.learn(&scope, &second, KeyOrigin::Pinned).await.unwrap(), Learned::Added);
    }

    #[tokio::test]
    async fn invalid_store_is_an_error_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.json");
        let store = FileHostKeys::new(&path);
        let scope = scope("i-1");
        let bad_key = r#"{"version":1,"hosts":{"aws/123456789012/eu-west-1/i-1":[{"key":"ssh-ed25519 x","origin":"pinned","first_seen":0}]}}"#;
        let bad_scope = r#"{"version":1,"hosts":{"aws/i-1":[]}}"#;
        let no_keys = r#"{"version":1,"hosts":{"aws/123456789012/eu-west-1/i-1":[]}}"#;
        for damaged in ["", "{", "[]", r#"{"version":2,"hosts":{}}"#, bad_key, bad_scope, no_keys] {
            fs::write(&path, damaged).unwrap();
            assert!(store.known(&scope).await.is_err(), "{damaged}");
            assert!(store.learn(&scope, &[key()], KeyOrigin::FirstUse).await.is_err(), "{damaged}");
            assert!(store.note(&scope, &key()).await.is_err(), "{damaged}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
        }
    }

    #[tokio::test]
    async fn older_file_is_read_and_updated() {
        let folder = tempfile::tempdir().unwrap();
        let (path, scope, key) = (folder.path().join("hosts.json"), scope("i-1"), key());
        let old = format!(
            r#"{{"version":1,"hosts":{{"{scope}":[{{"key":"{}","origin":"first-use","first_seen":7}}]}}}}"#,
            key.to_openssh()
        );
        fs::write(&path, old).unwrap();
        let store = FileHostKeys::new(&path);
        let found = store.known(&scope).await.unwrap();
        assert_eq!((&found.keys, &found.to_note), (&vec![key.clone()], &vec![key.clone()]));
        store.note(&scope, &key).await.unwrap();
        let pins = store.read().unwrap();
        let (_, pin) = pins.iter().next().unwrap();
        assert_eq!((pin.first_seen, pin.origin), (7, KeyOrigin::FirstUse));
        assert!(pin.last_seen.is_some_and(|seen| seen > 7));

        let written = fs::read_to_string(&path).unwrap();
        store.note(&scope, &key).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), written, "once a day");
    }

    #[tokio::test]
    async fn note_does_not_wait_for_a_writer() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileHostKeys::new(folder.path().join("hosts.json"));
        let held = store.lock().unwrap();
        let (scope, key) = (scope("i-1"), key());
        let noting = store.note(&scope, &key);
        tokio::time::timeout(std::time::Duration::from_secs(10), noting).await.unwrap().unwrap();
        drop(held);
    }
}
