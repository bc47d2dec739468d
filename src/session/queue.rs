//! Input on its way from the viewer to the terminal, bounded by the memory that it holds.
//!
//! Input is copied into chunks of the queue's own. A WebSocket message is a slice of the read buffer it arrived in, so
//! a queue of such slices could hold thousands of times more memory than bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The smallest chunk, in bytes: keystrokes that wait share one.
const MIN_CHUNK: usize = 256;

/// The largest chunk, in bytes, and so the largest single write to a terminal.
const MAX_CHUNK: usize = 32 << 10;

/// The sender's half; cheap to clone.
#[derive(Clone, Debug)]
pub struct ViewerInput(Arc<Shared>);

/// The session ended: it takes no more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session has ended")]
pub struct InputClosed;

#[derive(Debug)]
struct Shared {
    pieces: Mutex<VecDeque<Queued>>,
    /// A piece was added.
    added: Notify,
    /// One permit per byte that chunks may take.
    room: Arc<Semaphore>,
    capacity: usize,
    closed: CancellationToken,
}

#[derive(Debug)]
enum Queued {
    Chunk(BytesMut, OwnedSemaphorePermit),
    End,
}

/// A piece of input.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes, at least one and at most [`MAX_CHUNK`].
    Data(Bytes),
    /// No more follows.
    End,
}

/// A piece and the room it takes, which is released on drop.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) piece: Piece,
    #[allow(dead_code, reason = "held for its drop")]
    room: Option<OwnedSemaphorePermit>,
}

impl Shared {
    fn pieces(&self) -> MutexGuard<'_, VecDeque<Queued>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, piece: Queued) -> Result<(), InputClosed> {
        let mut pieces = self.pieces();
        // Checked under the lock: the receiver clears the queue after it closes it.
        if self.closed.is_cancelled() {
            return Err(InputClosed);
        }
        pieces.push_back(piece);
        drop(pieces);
        self.added.notify_one();
        Ok(())
    }

    /// Fills up the last chunk and returns the rest of `data`.
    fn fill(&self, mut data: Bytes) -> Bytes {
        if let Some(Queued::Chunk(chunk, _)) = self.pieces().back_mut() {
            let count = data.len().min(chunk.capacity() - chunk.len());
            chunk.extend_from_slice(&data.split_to(count));
        }
        data
    }
}

impl ViewerInput {
    /// Marks the end of the input, after everything that was sent before.
    ///
    /// # Errors
    /// [`InputClosed`] once the session ended.
    pub fn end(&self) -> Result<(), InputClosed> {
        self.0.add(Queued::End)
    }

    /// Queues a copy of `data`, waiting for room.
    ///
    /// # Errors
    /// [`InputClosed`] once the session ended.
    pub async fn send(&self, data: Bytes) -> Result<(), InputClosed> {
        let shared = &self.0;
        let mut rest = shared.fill(data);
        while !rest.is_empty() {
            let size = rest.len().clamp(MIN_CHUNK, MAX_CHUNK).min(shared.capacity);
            let permits = u32::try_from(size).unwrap_or(u32::MAX);
            let room = Arc::clone(&shared.room).acquire_many_owned(permits).await.map_err(|_| InputClosed)?;
            let mut chunk = BytesMut::with_capacity(size);
            chunk.extend_from_slice(&rest.split_to(rest.len().min(size)));
            shared.add(Queued::Chunk(chunk, room))?;
        }
        if shared.closed.is_cancelled() { Err(InputClosed) } else { Ok(()) }
    }

    /// Resolves when the session takes no more input. It has ended then, though its last events may still be unread.
    pub async fn closed(&self) {
        self.0.closed.cancelled().await;
    }
}

/// The session's half.
#[derive(Debug)]
pub(super) struct InputQueue(Arc<Shared>);

impl InputQueue {
    /// Creates a queue for `capacity` bytes.
    pub(super) fn new(capacity: usize) -> (ViewerInput, Self) {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let shared = Arc::new(Shared {
            pieces: Mutex::default(),
            added: Notify::new(),
            room: Arc::new(Semaphore::new(capacity)),
            capacity,
            closed: CancellationToken::new(),
        });
        (ViewerInput(Arc::clone(&shared)), Self(shared))
    }

    /// Waits for the next message. Cancel safe.
    pub(super) async fn next(&mut self) -> Message {
        loop {
            let added = self.0.added.notified();
            let first = self.0.pieces().pop_front();
            match first {
                Some(Queued::Chunk(chunk, room)) => {
                    return Message { piece: Piece::Data(chunk.freeze()), room: Some(room) };
                }
                Some(Queued::End) => return Message { piece: Piece::End, room: None },
                None => added.await,
            }
        }
    }
}

impl Drop for InputQueue {
    fn drop(&mut self) {
        let mut pieces = self.0.pieces();
        self.0.closed.cancel();
        self.0.room.close();
        pieces.clear();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::task::unconstrained;

    use super::*;

    fn length(message: Message) -> usize {
        match message.piece {
            Piece::Data(data) => data.len(),
            Piece::End => panic!("the end"),
        }
    }

    /// Sends until the queue is full and returns the number of messages.
    fn fill(input: &ViewerInput, message: &'static [u8]) -> usize {
        let mut sent = 0;
        // Without tokio's budget, which would end the loop as well.
        while unconstrained(input.send(Bytes::from_static(message))).now_or_never().is_some() {
            sent += 1;
        }
        sent
    }

    #[tokio::test]
    async fn end_comes_after_all_input() {
        let (input, mut queue) = InputQueue::new(1000);
        input.send(Bytes::from_static(b"last")).await.unwrap();
        input.end().unwrap();
        assert_eq!(length(queue.next().await), 4);
        assert!(matches!(queue.next().await.piece, Piece::End));
    }

    #[tokio::test]
    async fn full_queue_makes_the_sender_wait() {
        let (input, mut queue) = InputQueue::new(1000);
        input.send(Bytes::from(vec![b'a'; 600])).await.unwrap();
        let second = input.send(Bytes::from(vec![b'b'; 600]));
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none(), "no room yet");
        assert_eq!(length(queue.next().await), 600);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn dropped_queue_is_closed() {
        let (input, queue) = InputQueue::new(1000);
        input.send(Bytes::from(vec![b'a'; 500])).await.unwrap();
        let waiting = tokio::spawn({
            let input = input.clone();
            async move { input.send(Bytes::from(vec![b'c'; 900])).await }
        });
        tokio::task::yield_now().await;
        drop(queue);
        assert_eq!(waiting.await.unwrap(), Err(InputClosed));
        assert_eq!(input.send(Bytes::new()).await, Err(InputClosed));
        assert_eq!(input.end(), Err(InputClosed));
        assert!(input.0.pieces().is_empty());
        input.closed().await;
    }

    #[tokio::test]
    async fn oversized_message_passes() {
        let (input, mut queue) = InputQueue::new(1000);
        let data: Bytes = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let sending = input.send(data.clone());
        let receiving = async {
            let mut received = Vec::new();
            while received.len() < data.len() {
                match queue.next().await.piece {
                    Piece::Data(data) => received.extend_from_slice(&data),
                    Piece::End => panic!("the end"),
                }
            }
            received
        };
        let (sent, received) = tokio::join!(sending, receiving);
        sent.unwrap();
        assert!(received == data);
    }

    #[tokio::test]
    async fn slices_release_their_buffer() {
        let (input, _queue) = InputQueue::new(1 << 20);
        let mut buffer = BytesMut::zeroed(16 << 10);
        for length in [1, 100, 10_000] {
            input.send(buffer.split_to(length).freeze()).await.unwrap();
        }
        buffer.clear();
        assert!(buffer.try_reclaim(16 << 10), "all of the allocation belongs to `buffer` again");
    }

    #[tokio::test]
    async fn small_messages_share_chunks() {
        let (input, queue) = InputQueue::new(100 * MIN_CHUNK);
        assert_eq!(fill(&input, b"x"), 100 * MIN_CHUNK);
        let held = |queue: &InputQueue| -> usize {
            let capacity = |piece: &Queued| match piece {
                Queued::Chunk(chunk, _) => chunk.capacity(),
                Queued::End => 0,
            };
            queue.0.pieces().iter().map(capacity).sum()
        };
        assert_eq!(held(&queue), 100 * MIN_CHUNK);

        // The sizes that leave the most room unused: each fills up the chunk before it.
        let (input, queue) = InputQueue::new(1 << 20);
        let sent = fill(&input, &[b'x'; MIN_CHUNK + 1]) * (MIN_CHUNK + 1);
        assert!(held(&queue) <= 1 << 20);
        assert!(sent >= (1 << 20) - 2 * MIN_CHUNK, "{sent}");
    }
}
