//! A terminal control that does nothing, for tests.

use std::io;

use futures_util::future::{BoxFuture, ready};

use super::{Control, Signal, Size};

/// Accepts every size, signal and close without effect.
pub(crate) struct NoopControl;

impl Control for NoopControl {
    fn resize(&self, _: Size) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(ready(Ok(())))
    }

    fn signal(&self, _: Signal) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(ready(Ok(())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}
