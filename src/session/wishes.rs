//! What a viewer and its session tell each other besides bytes and events: only the latest counts.

use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::model::Size;

/// Shared by a viewer and its session.
#[derive(Debug)]
pub(super) struct Wishes {
    /// The size that the viewer has; `None` until it tells one.
    pub(super) size: watch::Sender<Option<Size>>,
    /// The viewer wants the round trip measured.
    pub(super) measure: Notify,
    /// What the last measurement came to.
    pub(super) round_trip: watch::Sender<Option<Duration>>,
    /// How many bytes of input were handed to the terminal.
    pub(super) taken: watch::Sender<u64>,
}

impl Wishes {
    pub(super) fn new() -> Self {
        Self {
            size: watch::channel(None).0,
            measure: Notify::new(),
            round_trip: watch::channel(None).0,
            taken: watch::channel(0).0,
        }
    }

    /// The first size that the viewer tells.
    pub(super) async fn first_size(&self) -> Size {
        let mut sizes = self.size.subscribe();
        loop {
            if let Some(size) = *sizes.borrow_and_update() {
                return size;
            }
            if sizes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
