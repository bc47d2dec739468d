//! A key that an instance knows whenever it is needed.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use super::connector::Connector;
use crate::model::{InstanceTarget, StageError, StageObserver};

/// A key that is pushed when it is first needed, and again when it is needed later than the instance may remember it: a
/// person may take their time between the tunnel and the login, over a host key's fingerprint for one.
pub struct KeptKey {
    connector: Arc<Connector>,
    target: InstanceTarget,
    public: String,
    /// When it was last pushed.
    pushed: Mutex<Option<Instant>>,
}

impl fmt::Debug for KeptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptKey").field("instance", &self.target.instance).finish_non_exhaustive()
    }
}

impl KeptKey {
    /// The key `public`, one line as OpenSSH writes it, for `target`. Nothing is pushed yet.
    #[must_use]
    pub fn new(connector: Arc<Connector>, target: InstanceTarget, public: String) -> Self {
        Self { connector, target, public, pushed: Mutex::new(None) }
    }

    /// Sees to it that the instance knows the key, for 15 s more at least. Whoever asks while it is pushed waits for that.
    ///
    /// # Errors
    /// Of the stages credentials and key push; the next call tries again.
    pub async fn known(&self, observer: &dyn StageObserver) -> Result<(), StageError> {
        let mut pushed = self.pushed.lock().await;
        let is_old = |at: Instant| at.elapsed() > self.connector.max_key_age();
        if pushed.is_none_or(is_old) {
            *pushed = Some(self.connector.push_key(&self.target, &self.public, observer).await?.at);
        }
        Ok(())
    }
}
