//! A key that is pushed again before the instance forgets it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use super::connector::Connector;
use crate::model::{InstanceTarget, StageError, StageObserver};

/// A key that is pushed on first use, and again on any use after the instance may have forgotten it: a user may
/// take a while between the tunnel and the login, for example to compare a host key's fingerprint.
pub struct RefreshingKey {
    connector: Arc<Connector>,
    target: InstanceTarget,
    public: String,
    /// When it was last pushed.
    pushed: Mutex<Option<Instant>>,
}

impl fmt::Debug for RefreshingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshingKey").field("instance", &self.target.instance).finish_non_exhaustive()
    }
}

impl RefreshingKey {
    /// Returns the key `public`, one line in OpenSSH's format, for `target`. Nothing is pushed yet.
    #[must_use]
    pub fn new(connector: Arc<Connector>, target: InstanceTarget, public: String) -> Self {
        Self { connector, target, public, pushed: Mutex::new(None) }
    }

    /// Ensures that the instance accepts the key for at least 15 s more. Concurrent callers wait for a pending
    /// push.
    ///
    /// # Errors
    /// Errors of the stages credentials and key push; the next call tries again.
    pub async fn ensure_pushed(&self, observer: &dyn StageObserver) -> Result<(), StageError> {
        let mut pushed = self.pushed.lock().await;
        let is_old = |at: Instant| at.elapsed() > self.connector.max_key_age();
        if pushed.is_none_or(is_old) {
            *pushed = Some(self.connector.push_key(&self.target, &self.public, observer).await?.at);
        }
        Ok(())
    }
}
