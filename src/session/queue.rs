//! What a viewer typed, on its way to the terminal: bounded by bytes, not by messages, because a paste comes as
//! one message of any size.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What a message costs beside its bytes, so that many small ones stay bounded as well.
const MESSAGE_COST: usize = 64;

/// The sender's half; cheap to clone.
#[derive(Clone, Debug)]
pub struct ViewerInput {
    messages: mpsc::UnboundedSender<Message>,
    room: Arc<Semaphore>,
    capacity: usize,
}

/// The session ended: it takes no more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session has ended")]
pub struct InputClosed;

impl ViewerInput {
    /// Says that no more input follows what was handed over so far.
    ///
    /// # Errors
    /// [`InputClosed`] once the session ended.
    pub async fn end(&self) -> Result<(), InputClosed> {
        self.hand_over(Piece::End, 0).await
    }

    /// Hands `data` over, waiting for room. A message larger than the whole queue waits until it is empty.
    ///
    /// # Errors
    /// [`InputClosed`] once the session ended.
    pub async fn send(&self, data: Bytes) -> Result<(), InputClosed> {
        if data.is_empty() {
            return if self.messages.is_closed() { Err(InputClosed) } else { Ok(()) };
        }
        let length = data.len();
        self.hand_over(Piece::Data(data), length).await
    }

    /// Waits until the session takes no more input: it is over, though its last events may still be read.
    pub async fn closed(&self) {
        self.messages.closed().await;
    }

    async fn hand_over(&self, piece: Piece, length: usize) -> Result<(), InputClosed> {
        let cost = length.saturating_add(MESSAGE_COST).min(self.capacity);
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(cost).await.map_err(|_| InputClosed)?;
        self.messages.send(Message { piece, room }).map_err(|_| InputClosed)
    }
}

/// A piece of input.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes, at least one.
    Data(Bytes),
    /// No more follows.
    End,
}

/// One message and the room that it takes, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) piece: Piece,
    #[allow(dead_code, reason = "held for its drop")]
    room: OwnedSemaphorePermit,
}

/// The session's half.
#[derive(Debug)]
pub(super) struct InputQueue {
    messages: mpsc::UnboundedReceiver<Message>,
    room: Arc<Semaphore>,
}

impl InputQueue {
    /// A queue for `capacity` bytes.
    pub(super) fn new(capacity: usize) -> (ViewerInput, Self) {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        // Bounded by the semaphore.
        let (sender, messages) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(capacity));
        (ViewerInput { messages: sender, room: Arc::clone(&room), capacity }, Self { messages, room })
    }

    /// The next message; `None` when every sender is gone.
    pub(super) async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }
}

impl Drop for InputQueue {
    fn drop(&mut self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn length(message: Option<Message>) -> usize {
        match message.map(|message| message.piece) {
            Some(Piece::Data(data)) => data.len(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_end_of_the_input_comes_after_all_of_it() {
        let (input, mut queue) = InputQueue::new(1000);
        input.send(Bytes::from_static(b"last")).await.unwrap();
        input.end().await.unwrap();
        assert_eq!(length(queue.next().await), 4);
        assert!(matches!(queue.next().await.unwrap().piece, Piece::End));
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_sender_wait_and_an_ended_one_tells_it() {
        let (input, mut queue) = InputQueue::new(1000);
        input.send(Bytes::from(vec![b'a'; 500])).await.unwrap();
        let second = input.send(Bytes::from(vec![b'b'; 500]));
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none(), "no room yet");
        assert_eq!(length(queue.next().await), 500);
        second.await.unwrap();

        let third = tokio::spawn({
            let input = input.clone();
            async move { input.send(Bytes::from(vec![b'c'; 900])).await }
        });
        tokio::task::yield_now().await;
        drop(queue);
        assert_eq!(third.await.unwrap(), Err(InputClosed));
        assert_eq!(input.send(Bytes::new()).await, Err(InputClosed));
    }

    #[tokio::test]
    async fn a_message_larger_than_the_queue_still_passes_when_it_is_alone() {
        let (input, mut queue) = InputQueue::new(10);
        input.send(Bytes::from(vec![0; 1 << 20])).await.unwrap();
        assert_eq!(length(queue.next().await), 1 << 20);
        input.send(Bytes::from_static(b"x")).await.unwrap();
    }

    #[tokio::test]
    async fn many_tiny_messages_are_bounded_too() {
        let (input, _queue) = InputQueue::new(100 * (MESSAGE_COST + 1));
        let mut sent = 0;
        while input.send(Bytes::from_static(b"x")).now_or_never().is_some() {
            sent += 1;
        }
        assert_eq!(sent, 100);
    }
}
