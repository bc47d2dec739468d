//! The key for peers without their own: in a private file, pushed again before it expires.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::temp::TempFolder;
use super::testbed::Testbed;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::model::StageEvent;
use crate::ssh::EphemeralKey;

/// A key is pushed again when the last push is older than this; it is valid for 60 s.
const MAX_AGE: Duration = Duration::from_secs(30);

/// A key pair in a file readable by its owner only.
pub(super) struct PushedKey<'a> {
    testbed: &'a Testbed,
    path: PathBuf,
    public: String,
    at: Mutex<Option<Instant>>,
}

impl<'a> PushedKey<'a> {
    /// Generates a pair in `folder` without pushing it.
    pub(super) fn new(testbed: &'a Testbed, folder: &TempFolder) -> Result<Self, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::because(exit::INTERNAL, "no key can be made for the peers", error)
        };
        let key = EphemeralKey::generate().map_err(|error| failed(&error))?;
        let private = key.private_openssh().map_err(|error| failed(&error))?;
        let path = folder.write("key", &private, 0o600).map_err(|error| failed(&error))?;
        let public = key.public_openssh().map_err(|error| failed(&error))?;
        Ok(Self { testbed, path, public, at: Mutex::new(None) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Pushes the key unless the last push is recent. This is not part of the peers' time.
    pub(super) async fn keep_fresh(&self) -> Result<(), Failure> {
        let pushed = self.at.lock().map(|at| *at).unwrap_or_default();
        if pushed.is_some_and(|at| at.elapsed() < MAX_AGE) {
            return Ok(());
        }
        let at = Instant::now();
        let target = &self.testbed.target;
        let ignore = |_: StageEvent| {};
        let client =
            self.testbed.connector.client(&target.account, target.region.as_deref(), &ignore).await?;
        client.send_ssh_public_key(&target.instance, &target.os_user, &self.public).await.map_err(
            |error| Failure::because(exit::UNAVAILABLE, "the peers' key cannot be pushed", &error),
        )?;
        if let Ok(mut last) = self.at.lock() {
            *last = Some(at);
        }
        Ok(())
    }
}
