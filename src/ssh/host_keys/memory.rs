//! Host keys that are remembered for the life of the process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::{HostKey, HostKeyScope, HostKeySource, KeyOrigin, Learned, MAX_KEYS_PER_SCOPE, StoreError};

/// Host keys in memory, for tests, the demo and a process that must not write.
#[derive(Debug, Default)]
pub struct MemoryHostKeys(Mutex<HashMap<HostKeyScope, Vec<HostKey>>>);

impl MemoryHostKeys {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Pins `key` for `scope` beside what is pinned already.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond [`MAX_KEYS_PER_SCOPE`].
    pub fn pin(&self, scope: HostKeyScope, key: HostKey) -> Result<(), StoreError> {
        let mut scopes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = scopes.entry(scope).or_default();
        if keys.len() >= MAX_KEYS_PER_SCOPE {
            return Err(StoreError::Full(format!("{MAX_KEYS_PER_SCOPE} keys are pinned for this instance")));
        }
        if !keys.contains(&key) {
            keys.push(key);
        }
        Ok(())
    }
}

impl HostKeySource for MemoryHostKeys {
    fn known<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<Vec<HostKey>, StoreError>> {
        let scopes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = scopes.get(scope).cloned().unwrap_or_default();
        Box::pin(async move { Ok(keys) })
    }

    fn learn<'a>(
        &'a self,
        scope: &'a HostKeyScope,
        key: &'a HostKey,
        _origin: KeyOrigin,
    ) -> BoxFuture<'a, Result<Learned, StoreError>> {
        let mut scopes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = scopes.entry(scope.clone()).or_default();
        let learned = if keys.contains(key) {
            Learned::Known
        } else if keys.is_empty() {
            keys.push(key.clone());
            Learned::Added
        } else {
            Learned::Conflict(keys.clone())
        };
        Box::pin(async move { Ok(learned) })
    }

    fn forget<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<usize, StoreError>> {
        let mut scopes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = scopes.remove(scope).map_or(0, |keys| keys.len());
        Box::pin(async move { Ok(forgotten) })
    }
}
