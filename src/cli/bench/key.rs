//! The key of the peers that bring none themselves: in a private file, pushed again before it grows old.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::place::Place;
use super::temp::TempFolder;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::model::StageEvent;
use crate::ssh::EphemeralKey;

/// A key that was pushed longer ago than this is pushed again: the instance forgets it after 60 s.
const MAX_AGE: Duration = Duration::from_secs(30);

/// A key pair in a file that only its owner can read.
pub(super) struct PushedKey<'a> {
    place: &'a Place,
    path: PathBuf,
    public: String,
    at: Mutex<Option<Instant>>,
}

impl<'a> PushedKey<'a> {
    /// Makes a pair in `folder`; nothing is pushed yet.
    pub(super) fn new(place: &'a Place, folder: &TempFolder) -> Result<Self, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::because(exit::INTERNAL, "no key can be made for the peers", error)
        };
        let key = EphemeralKey::generate().map_err(|error| failed(&error))?;
        let private = key.private_openssh().map_err(|error| failed(&error))?;
        let path = folder.write("key", &private, 0o600).map_err(|error| failed(&error))?;
        let public = key.public_openssh().map_err(|error| failed(&error))?;
        Ok(Self { place, path, public, at: Mutex::new(None) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Pushes it unless that was done a moment ago. What that takes is not the peers' time.
    pub(super) async fn keep_fresh(&self) -> Result<(), Failure> {
        let pushed = self.at.lock().map(|at| *at).unwrap_or_default();
        if pushed.is_some_and(|at| at.elapsed() < MAX_AGE) {
            return Ok(());
        }
        let at = Instant::now();
        let target = &self.place.target;
        let ignore = |_: StageEvent| {};
        let client = self.place.connector.client(&target.account, target.region.as_deref(), &ignore).await?;
        client.send_ssh_public_key(&target.instance, &target.os_user, &self.public).await.map_err(
            |error| Failure::because(exit::UNAVAILABLE, "the peers' key cannot be pushed", &error),
        )?;
        if let Ok(mut last) = self.at.lock() {
            *last = Some(at);
        }
        Ok(())
    }
}
