//! Host keys that are looked at and never learnt.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use futures_util::future::{BoxFuture, ready};

use crate::ssh::host_keys::{HostKey, HostKeyScope, HostKeySource, KeyOrigin, Known, Learned, StoreError};

/// The keys of another source. One that would be pinned now passes and is not kept.
pub(super) struct Unkept {
    keys: Arc<dyn HostKeySource>,
    unkept: OnceLock<(String, KeyOrigin)>,
}

impl Unkept {
    pub(super) fn new(keys: Arc<dyn HostKeySource>) -> Arc<Self> {
        Arc::new(Self { keys, unkept: OnceLock::new() })
    }

    /// The fingerprint of the key that would have been pinned, and why.
    pub(super) fn unkept(&self) -> Option<(&str, KeyOrigin)> {
        self.unkept.get().map(|(key, origin)| (key.as_str(), *origin))
    }
}

impl HostKeySource for Unkept {
    fn known<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<Known, StoreError>> {
        self.keys.known(scope)
    }

    fn learn<'a>(
        &'a self,
        _: &'a HostKeyScope,
        keys: &'a [HostKey],
        origin: KeyOrigin,
    ) -> BoxFuture<'a, Result<Learned, StoreError>> {
        // The first of them is the one that was shown.
        if let Some(shown) = keys.first() {
            let _ = self.unkept.set((shown.fingerprint().to_string(), origin));
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
