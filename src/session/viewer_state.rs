//! State that a viewer and its session share besides bytes and events: only the latest value counts.

use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::model::Size;

/// Shared by a viewer and its session.
#[derive(Debug)]
pub(super) struct ViewerState {
    /// The viewer's size; `None` until it sends one.
    pub(super) size: watch::Sender<Option<Size>>,
    /// The viewer requests a measurement of the round trip.
    pub(super) measure: Notify,
    /// The last measured round trip.
    pub(super) round_trip: watch::Sender<Option<Duration>>,
    /// Bytes of input that the terminal accepted.
    pub(super) taken: watch::Sender<u64>,
}

impl ViewerState {
    pub(super) fn new() -> Self {
        Self {
            size: watch::channel(None).0,
            measure: Notify::new(),
            round_trip: watch::channel(None).0,
            taken: watch::channel(0).0,
        }
    }

    /// Waits for the viewer's first size.
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
