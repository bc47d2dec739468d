//! Host keys kept in memory for the life of the process.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use futures_util::future::{BoxFuture, ready};

use super::{HostKey, HostKeyScope, HostKeySource, KeyOrigin, Known, Learned, Pins, StoreError};

/// Host keys in memory, for tests, the demo and a process that must not write files.
#[derive(Debug, Default)]
pub struct MemoryHostKeys(Mutex<Pins>);

impl MemoryHostKeys {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns all pinned keys.
    #[must_use]
    pub fn pins(&self) -> Pins {
        self.lock().clone()
    }

    /// Pins `key` for `scope` on behalf of an operator, in addition to keys that are already pinned.
    ///
    /// # Errors
    /// Those of [`Pins::pin`].
    pub fn pin(&self, scope: &HostKeyScope, key: &HostKey) -> Result<Learned, StoreError> {
        self.lock().pin(scope, key, SystemTime::now())
    }

    fn lock(&self) -> MutexGuard<'_, Pins> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostKeySource for MemoryHostKeys {
    fn known<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<Known, StoreError>> {
        Box::pin(ready(self.lock().known(scope, SystemTime::now())))
    }

    fn learn<'a>(
        &'a self,
        scope: &'a HostKeyScope,
        keys: &'a [HostKey],
        origin: KeyOrigin,
    ) -> BoxFuture<'a, Result<Learned, StoreError>> {
        Box::pin(ready(self.lock().learn(scope, keys, origin, SystemTime::now())))
    }

    fn note<'a>(
        &'a self,
        scope: &'a HostKeyScope,
        key: &'a HostKey,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.lock().note(scope, key, SystemTime::now());
        Box::pin(ready(Ok(())))
    }

    fn forget<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<usize, StoreError>> {
        Box::pin(ready(Ok(self.lock().forget(scope))))
    }
}
