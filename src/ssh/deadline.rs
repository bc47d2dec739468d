//! The timeout of a stage.

use std::future::Future;
use std::time::Duration;

use super::Error;
use crate::model::Stage;

/// Awaits `future` within the stage's timeout.
pub(in crate::ssh) async fn within<T>(
    stage: Stage,
    after: Duration,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    tokio::time::timeout(after, future).await.map_err(|_| Error::Timeout { stage, after })
}
