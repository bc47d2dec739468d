//! A view of pinned host keys that never stores a key.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use futures_util::future::{BoxFuture, ready};

use crate::ssh::host_keys::{HostKey, HostKeyScope, HostKeySource, KeyOrigin, Known, Learned, StoreError};

/// Reads the keys of another source. A key that would be pinned passes without being stored.
pub(super) struct ReadOnlyHostKeys {
    keys: Arc<dyn HostKeySource>,
    skipped_key: OnceLock<(String, KeyOrigin)>,
}

impl ReadOnlyHostKeys {
    pub(super) fn new(keys: Arc<dyn HostKeySource>) -> Arc<Self> {
        Arc::new(Self { keys, skipped_key: OnceLock::new() })
    }

    /// Returns the fingerprint of the key that would have been pinned, and its origin.
    pub(super) fn skipped_key(&self) -> Option<(&str, KeyOrigin)> {
        self.skipped_key.get().map(|(key, origin)| (key.as_str(), *origin))
    }
}

impl HostKeySource for ReadOnlyHostKeys {
    fn known<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<Known, StoreError>> {
        self.keys.known(scope)
    }

    fn learn<'a>(
        &'a self,
        _: &'a HostKeyScope,
        keys: &'a [HostKey],
        origin: KeyOrigin,
    ) -> BoxFuture<'a, Result<Learned, StoreError>> {
        // The first key is the offered one.
        if let Some(shown) = keys.first() {
            let _ = self.skipped_key.set((shown.fingerprint().to_string(), origin));
        }
        Box::pin(ready(Ok(Learned::Known)))
    }

    fn note<'a>(&'a self, _: &'a HostKeyScope, _: &'a HostKey) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(ready(Ok(())))
    }

    fn forget<'a>(&'a self, _: &'a HostKeyScope) -> BoxFuture<'a, Result<usize, StoreError>> {
        Box::pin(ready(Ok(0)))
    }

    fn location(&self) -> Option<&Path> {
        self.keys.location()
    }
}
