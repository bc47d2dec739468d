//! No sequence of messages decreases the positions of `eicterm.v1` or exceeds a window.
//!
//! The input is a list of operations of four bytes each: kind, two bytes of length, a flag. The gateway's
//! counters are compared with a model written from the specification.

use bytes::Bytes;
use eice::gateway::eicterm::flow::{Input, Output, Violation};
use eice::gateway::eicterm::frame::{self, Frame};
use eice::gateway::eicterm::{INPUT_WINDOW, MAX_FRAME, WINDOW};

/// More operations find nothing new and only slow a run down.
const MAX_OPERATIONS: usize = 2048;

/// The positions, as specified in `docs/eicterm.md`.
#[derive(Default)]
struct Model {
    sent: u64,
    acked: u64,
    received: u64,
    taken: u64,
    has_ended: bool,
}

pub fn run(data: &[u8]) {
    let (mut output, mut input) = (Output::default(), Input::default());
    let mut model = Model::default();
    for operation in data.chunks_exact(4).take(MAX_OPERATIONS) {
        let &[what, high, low, flag] = operation else { continue };
        let length = u64::from(u16::from_be_bytes([high, low]));
        let ended = match what % 8 {
            // The gateway sends while the window has room, and finishes what it has started.
            0 | 1 => {
                if output.has_room() {
                    output.sent(length as usize);
                    model.sent += length;
                }
                None
            }
            2 => ack(&mut output, &mut model, |model| model.acked.saturating_add(length)),
            3 => ack(&mut output, &mut model, |model| model.acked.saturating_sub(length)),
            4 => ack(&mut output, &mut model, |_| u64::from_be_bytes([flag; 8])),
            5 => type_in(&mut input, &mut model, length as usize, flag & 1 == 0),
            6 => {
                // The terminal consumes some of its input.
                model.taken = model.received.min(model.taken + length * u64::from(flag));
                None
            }
            _ => {
                let expected = if model.has_ended { Err(Violation::InputEnded) } else { Ok(()) };
                model.has_ended = true;
                is_like(input.end(), expected)
            }
        };
        assert!(model.acked <= model.sent && model.taken <= model.received);
        assert_eq!(output.has_room(), model.sent - model.acked < WINDOW);
        assert!(model.sent - model.acked < WINDOW + u64::from(u16::MAX), "the window, and what it had begun");
        if let Some(violation) = ended {
            assert!(violation.to_string().len() <= 123);
            return;
        }
        assert!(model.received - model.taken <= INPUT_WINDOW);
    }
}

/// The client acknowledges a position.
fn ack(output: &mut Output, model: &mut Model, position: impl Fn(&Model) -> u64) -> Option<Violation> {
    let position = position(model);
    let message = [&[2][..], &position.to_be_bytes()].concat();
    assert_eq!(frame::binary(message.into()), Ok(Frame::Ack(position)));
    let may = (model.acked..=model.sent).contains(&position);
    if may {
        model.acked = position;
    }
    is_like(output.ack(position), if may { Ok(()) } else { Err(Violation::Ack) })
}

/// The client sends input, as BINARY or as TEXT: one counter counts both.
fn type_in(input: &mut Input, model: &mut Model, length: usize, as_text: bool) -> Option<Violation> {
    let message = Bytes::from(vec![0; length + usize::from(!as_text)]);
    let read = if as_text { frame::text(message) } else { frame::binary(message) };
    let Ok(Frame::Input(data)) = read else {
        assert!(length > MAX_FRAME, "{read:?}");
        return Some(Violation::InputWindow);
    };
    assert_eq!(data.len(), length);
    let expected = if model.has_ended {
        Err(Violation::InputEnded)
    } else {
        model.received += length as u64;
        if model.received - model.taken > INPUT_WINDOW { Err(Violation::InputWindow) } else { Ok(()) }
    };
    is_like(input.receive(length, model.taken), expected)
}

/// Asserts that the gateway agrees with the model; returns a violation, which ends the conversation.
fn is_like(said: Result<(), Violation>, expected: Result<(), Violation>) -> Option<Violation> {
    assert_eq!(said, expected);
    said.err()
}
