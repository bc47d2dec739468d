//! Host keys in a JSON file.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{HostKey, HostKeyScope, HostKeySource, KeyOrigin, Learned, MAX_KEYS_PER_SCOPE, StoreError};

/// The largest store that is read, in bytes: some 30,000 instances.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The version of the file's layout.
const VERSION: u32 = 1;

/// Host keys in a JSON file that several processes may share.
///
/// The file is replaced atomically and readable by its owner only (mode 0600, a new folder 0700). A lock file
/// beside it orders the writers. It is read anew each time, so that an edit takes effect at once. A file that
/// is not there is an empty store; one that cannot be read or understood is an error.
#[derive(Clone, Debug)]
pub struct FileHostKeys {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    version: u32,
    hosts: BTreeMap<String, Vec<Entry>>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    key: String,
    origin: String,
    /// Seconds since the epoch.
    first_seen: u64,
}

impl FileHostKeys {
    /// The store in the file `path`; nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
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

    fn read(&self) -> Result<Layout, StoreError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Layout { version: VERSION, hosts: BTreeMap::new() });
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
        Ok(layout)
    }

    fn keys(&self, layout: &Layout, scope: &HostKeyScope) -> Result<Vec<HostKey>, StoreError> {
        let Some(entries) = layout.hosts.get(scope.as_str()) else { return Ok(Vec::new()) };
        if entries.is_empty() || entries.len() > MAX_KEYS_PER_SCOPE {
            return Err(self.corrupt(format!("{scope} has {} keys", entries.len())));
        }
        entries
            .iter()
            .map(|entry| {
                if KeyOrigin::from_name(&entry.origin).is_none() {
                    return Err(self.corrupt(format!("{scope} has a key of unknown origin")));
                }
                HostKey::parse(&entry.key).map_err(|error| self.corrupt(format!("{scope}: {error}")))
            })
            .collect()
    }

    /// Holds the writers' lock until the file is dropped.
    fn lock(&self) -> Result<File, StoreError> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(self.io("making its folder"))?;
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.beside(".lock"))
            .map_err(self.io("opening its lock"))?;
        lock.lock().map_err(self.io("locking"))?;
        Ok(lock)
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    }

    /// Replaces the file in one step. Called under the lock, so that one name for the new file is enough.
    fn replace(&self, layout: &Layout) -> Result<(), StoreError> {
        let mut text = serde_json::to_vec_pretty(layout).map_err(|error| StoreError::Other(error.into()))?;
        text.push(b'\n');
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(StoreError::Full(format!("it would be larger than {MAX_FILE_BYTES} bytes")));
        }
        let fresh = self.beside(".new");
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

    fn learn_blocking(
        &self,
        scope: &HostKeyScope,
        key: &HostKey,
        origin: KeyOrigin,
    ) -> Result<Learned, StoreError> {
        let _lock = self.lock()?;
        let mut layout = self.read()?;
        let keys = self.keys(&layout, scope)?;
        if keys.contains(key) {
            return Ok(Learned::Known);
        }
        if !keys.is_empty() {
            return Ok(Learned::Conflict(keys));
        }
        let first_seen = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let entry = Entry { key: key.to_openssh(), origin: origin.name().to_owned(), first_seen };
        layout.hosts.insert(scope.as_str().to_owned(), vec![entry]);
        self.replace(&layout)?;
        Ok(Learned::Added)
    }

    fn forget_blocking(&self, scope: &HostKeyScope) -> Result<usize, StoreError> {
        let _lock = self.lock()?;
        let mut layout = self.read()?;
        let Some(entries) = layout.hosts.remove(scope.as_str()) else { return Ok(0) };
        self.replace(&layout)?;
        Ok(entries.len())
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Other(error.into()))?
}

impl HostKeySource for FileHostKeys {
    fn known<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<Vec<HostKey>, StoreError>> {
        let (store, scope) = (self.clone(), scope.clone());
        Box::pin(blocking(move || store.keys(&store.read()?, &scope)))
    }

    fn learn<'a>(
        &'a self,
        scope: &'a HostKeyScope,
        key: &'a HostKey,
        origin: KeyOrigin,
    ) -> BoxFuture<'a, Result<Learned, StoreError>> {
        let (store, scope, key) = (self.clone(), scope.clone(), key.clone());
        Box::pin(blocking(move || store.learn_blocking(&scope, &key, origin)))
    }

    fn forget<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<usize, StoreError>> {
        let (store, scope) = (self.clone(), scope.clone());
        Box::pin(blocking(move || store.forget_blocking(&scope)))
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

    #[tokio::test]
    async fn the_first_key_is_pinned_and_a_second_is_a_conflict_across_processes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/hosts.json");
        let (one, two) = (FileHostKeys::new(&path), FileHostKeys::new(&path));
        let (scope, first, second) = (scope("i-1"), key(), key());
        assert_eq!(one.known(&scope).await.unwrap(), vec![]);
        assert_eq!(one.learn(&scope, &first, KeyOrigin::FirstUse).await.unwrap(), Learned::Added);
        assert_eq!(two.learn(&scope, &first, KeyOrigin::FirstUse).await.unwrap(), Learned::Known);
        assert_eq!(
            two.learn(&scope, &second, KeyOrigin::FirstUse).await.unwrap(),
            Learned::Conflict(vec![first.clone()])
        );
        assert_eq!(two.known(&scope).await.unwrap(), vec![first]);
        assert_eq!(two.known(&self::scope("i-2")).await.unwrap(), vec![]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let parent = path.parent().unwrap();
        assert_eq!(fs::metadata(parent).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(one.forget(&scope).await.unwrap(), 1);
        assert_eq!(two.learn(&scope, &second, KeyOrigin::Pinned).await.unwrap(), Learned::Added);
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_read_is_an_error_and_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.json");
        let store = FileHostKeys::new(&path);
        let scope = scope("i-1");
        let bad_key = r#"{"version":1,"hosts":{"aws/123456789012/eu-west-1/i-1":[{"key":"ssh-ed25519 x","origin":"pinned","first_seen":0}]}}"#;
        let no_keys = r#"{"version":1,"hosts":{"aws/123456789012/eu-west-1/i-1":[]}}"#;
        for damaged in ["", "{", "[]", r#"{"version":2,"hosts":{}}"#, bad_key, no_keys] {
            fs::write(&path, damaged).unwrap();
            assert!(store.known(&scope).await.is_err(), "{damaged}");
            assert!(store.learn(&scope, &key(), KeyOrigin::FirstUse).await.is_err(), "{damaged}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(store.known(&scope).await, Err(StoreError::Io { .. })));
    }
}
