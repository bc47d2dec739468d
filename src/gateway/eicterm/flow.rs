//! Positions in both directions: windows, and the client's compliance with them.

use super::frame::Malformed;
use super::{INPUT_WINDOW, WINDOW};

/// A violation of the protocol by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A malformed message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// An acknowledgement beyond what was sent, or below the last one.
    #[error("an ack of what was not sent")]
    Ack,
    /// More input than the window allows.
    #[error("more input than the window has room for")]
    InputWindow,
    /// Input after its end.
    #[error("input after its end")]
    InputEnded,
    /// `attach` comes first, and once.
    #[error("attach comes first, and once")]
    Attach,
    /// Too many control messages.
    #[error("too many control messages")]
    Flood,
}

/// Output: sent and acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    sent: u64,
    acked: u64,
}

impl Output {
    /// Returns whether more may be sent.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.sent.saturating_sub(self.acked) < WINDOW
    }

    /// Counts `length` bytes as sent.
    pub fn sent(&mut self, length: usize) {
        self.sent = self.sent.saturating_add(length as u64);
    }

    /// Applies the client's `ack`.
    ///
    /// # Errors
    /// [`Violation::Ack`].
    pub fn ack(&mut self, position: u64) -> Result<(), Violation> {
        if position < self.acked || position > self.sent {
            return Err(Violation::Ack);
        }
        self.acked = position;
        Ok(())
    }
}

/// Input: received and taken by the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    received: u64,
    has_ended: bool,
}

impl Input {
    /// Counts `length` bytes of input; the terminal took `taken` of all input so far.
    ///
    /// # Errors
    /// [`Violation::InputWindow`] and [`Violation::InputEnded`].
    pub fn receive(&mut self, length: usize, taken: u64) -> Result<(), Violation> {
        if self.has_ended {
            return Err(Violation::InputEnded);
        }
        self.received = self.received.saturating_add(length as u64);
        if self.received.saturating_sub(taken) > INPUT_WINDOW { Err(Violation::InputWindow) } else { Ok(()) }
    }

    /// Marks the end of the input.
    ///
    /// # Errors
    /// [`Violation::InputEnded`] if it had ended already.
    pub fn end(&mut self) -> Result<(), Violation> {
        if std::mem::replace(&mut self.has_ended, true) { Err(Violation::InputEnded) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_stops_at_the_window() {
        let mut output = Output::default();
        output.sent(usize::try_from(WINDOW).unwrap() - 1);
        assert!(output.has_room());
        output.sent(32 << 10);
        assert!(!output.has_room());
        output.ack(32 << 10).unwrap();
        assert!(output.has_room());
        assert_eq!(output.ack(1), Err(Violation::Ack), "positions do not go back");
        assert_eq!(output.ack(u64::MAX), Err(Violation::Ack), "nor ahead of what was sent");
    }

    #[test]
    fn input_has_a_window_and_one_end() {
        let mut input = Input::default();
        let window = usize::try_from(INPUT_WINDOW).unwrap();
        input.receive(window, 0).unwrap();
        assert_eq!(input.receive(1, 0), Err(Violation::InputWindow));
        let mut input = Input::default();
        input.receive(window, 0).unwrap();
        input.receive(10, 10).unwrap();
        input.end().unwrap();
        assert_eq!(input.receive(1, 10), Err(Violation::InputEnded));
        assert_eq!(input.end(), Err(Violation::InputEnded));
    }
}
