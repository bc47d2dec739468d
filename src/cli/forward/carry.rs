//! Copies between a local connection and a forwarded one, with each direction ending separately.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::ssh::ForwardStream;

/// Buffer size, in bytes.
const BUFFER: usize = 32 * 1024;

/// Copies both ways until both directions have ended, one side fails, or the remote side closes.
///
/// # Errors
/// When a side fails. Dropping both then resets the other one.
pub(crate) async fn carry<L>(local: L, far: ForwardStream) -> io::Result<()>
where
    L: AsyncRead + AsyncWrite,
{
    let closed = far.closed();
    let (mut from_local, mut to_local) = tokio::io::split(local);
    let (mut from_far, mut to_far) = tokio::io::split(far);
    let up = copy(&mut from_local, &mut to_far);
    let down = copy(&mut from_far, &mut to_local);
    tokio::pin!(up, down, closed);
    let (mut sending, mut receiving) = (true, true);
    while sending || receiving {
        tokio::select! {
            result = &mut up, if sending => {
                sending = false;
                // A remote side that no longer reads may still send.
                if let Err(error) = result && error.kind() != io::ErrorKind::BrokenPipe {
                    return Err(error);
                }
            }
            result = &mut down, if receiving => {
                receiving = false;
                result?;
            }
            () = &mut closed, if !receiving => break,
        }
    }
    Ok(())
}

/// Copies to the end and passes EOF on. Every chunk is flushed, so that a request is not delayed.
async fn copy<R, W>(from: &mut R, to: &mut W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}
