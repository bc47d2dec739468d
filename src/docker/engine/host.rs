//! A container as a [`Host`].

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};

use super::client::Client;
use super::find::Container;
use super::open::open;
use super::watch::Watch;
use crate::model::{
    EnvName, Host, HostIds, Stage, StageError, StageObserver, Terminal, TerminalRequest, staged,
};

/// A local container.
pub(super) struct LocalHost {
    client: Client,
    container: Container,
    env: Vec<(EnvName, String)>,
    /// The watchers of the open terminals.
    watches: Mutex<Vec<Weak<Watch>>>,
}

impl LocalHost {
    pub(super) fn new(client: Client, container: Container, env: Vec<(EnvName, String)>) -> Self {
        Self { client, container, env, watches: Mutex::default() }
    }

    /// Removes and returns the watchers that still exist.
    fn take_watches(&self) -> Vec<Arc<Watch>> {
        let watches = std::mem::take(&mut *self.watches.lock().unwrap_or_else(PoisonError::into_inner));
        watches.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Host for LocalHost {
    fn open_terminal<'a>(
        &'a self,
        request: &'a TerminalRequest,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Terminal, StageError>> {
        Box::pin(async move {
            let opening = open(&self.client, &self.container, &self.env, request);
            let (terminal, watch) = staged(Stage::Shell, observer, opening).await?;
            let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
            watches.retain(|watch| watch.strong_count() > 0);
            watches.push(watch);
            Ok(terminal)
        })
    }

    fn ids(&self) -> HostIds {
        HostIds::default()
    }

    /// Measures the round trip to the engine; the container itself adds no measurable time.
    fn round_trip(&self) -> BoxFuture<'_, Option<Duration>> {
        Box::pin(async {
            let began = Instant::now();
            self.client.ping().await.ok().map(|()| began.elapsed())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let watches = self.take_watches();
            join_all(watches.iter().map(|watch| watch.finish())).await;
        })
    }
}

impl Drop for LocalHost {
    fn drop(&mut self) {
        for watch in self.take_watches() {
            watch.leave();
        }
    }
}
