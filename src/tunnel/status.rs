//! Reports how a tunnel ended to callers that gave the tunnel away.

use eice_proto::tunnel::CloseReason;
use tokio::sync::watch;

/// Reports why a tunnel ended, once it has. Cheap to clone; take it before you pass the tunnel to SSH.
#[derive(Clone, Debug)]
pub struct TunnelStatus(watch::Receiver<Option<CloseReason>>);

/// The tunnel's side of a [`TunnelStatus`].
#[derive(Debug)]
pub(super) struct StatusSetter(watch::Sender<Option<CloseReason>>);

pub(super) fn status() -> (StatusSetter, TunnelStatus) {
    let (sender, receiver) = watch::channel(None);
    (StatusSetter(sender), TunnelStatus(receiver))
}

impl StatusSetter {
    /// Records `reason`; the first one is kept.
    pub(super) fn end(&self, reason: &CloseReason) {
        self.0.send_if_modified(|slot| {
            let is_first = slot.is_none();
            if is_first {
                *slot = Some(reason.clone());
            }
            is_first
        });
    }
}

impl Drop for StatusSetter {
    fn drop(&mut self) {
        self.end(&CloseReason::Local);
    }
}

impl TunnelStatus {
    /// Returns why the tunnel ended; `None` while it is open. A tunnel dropped while open was closed locally.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.0.borrow().clone()
    }

    /// Resolves when the tunnel ends and returns why. Cancel safe.
    pub async fn closed(&mut self) -> CloseReason {
        match self.0.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(CloseReason::Local),
            // The tunnel is gone without a reason: only this side can have dropped it.
            Err(_) => CloseReason::Local,
        }
    }
}
