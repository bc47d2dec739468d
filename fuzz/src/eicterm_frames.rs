//! Every frame of a client of `eicterm.v1` is one message or refused, within the documented limits, and encodes back to
//! the same bytes.
//!
//! The input is a byte of flags (1: TEXT, 2: padded to a giant), then the message.

use bytes::Bytes;
use eice::gateway::eicterm::MAX_FRAME;
use eice::gateway::eicterm::flow::Violation;
use eice::gateway::eicterm::frame::{self, Attach, Frame, Malformed};

/// The longest reason of a close frame, in bytes (RFC 6455, section 5.5).
const MAX_REASON: usize = 123;

pub fn run(data: &[u8]) {
    let Some((&flags, message)) = data.split_first() else { return };
    let mut message = message.to_vec();
    if flags & 2 != 0 {
        message.resize(MAX_FRAME + message.len(), flags);
    }
    let message = Bytes::from(message);
    if flags & 1 == 0 { binary(&message) } else { text(&message) }
}

fn text(message: &Bytes) {
    match frame::text(message.clone()) {
        Ok(Frame::Input(input)) => is_part_of(&input, message, 0),
        Ok(other) => panic!("TEXT is input, not {other:?}"),
        Err(error) => {
            assert!(error == Malformed::TooLong && message.len() > MAX_FRAME);
            is_printable_reason(error);
        }
    }
}

fn binary(message: &Bytes) {
    let frame = match frame::binary(message.clone()) {
        Ok(frame) => frame,
        Err(error) => {
            assert_eq!(error == Malformed::Empty, message.is_empty());
            // Messages of later versions are accepted with any content, up to the size limit.
            assert!(message.first().is_none_or(|opcode| *opcode < 0x80) || error == Malformed::TooLong);
            return is_printable_reason(error);
        }
    };
    assert!(message.len() <= 1 + MAX_FRAME);
    let again = match &frame {
        Frame::Input(input) => return is_part_of(input, message, 1),
        Frame::Attach(attach) => return is_sound(attach, &message[1..]),
        Frame::Unknown => return assert!(message[0] >= 0x80),
        Frame::Resize(size) => {
            assert!((1..=1000).contains(&size.cols()) && (1..=1000).contains(&size.rows()));
            [&[1][..], &size.cols().to_be_bytes(), &size.rows().to_be_bytes()].concat()
        }
        Frame::Ack(position) => [&[2][..], &position.to_be_bytes()].concat(),
        Frame::Ping(number) => [&[3][..], &number.to_be_bytes()].concat(),
        Frame::EndOfInput => vec![5],
    };
    assert_eq!(again, message[..], "{frame:?}");
}

/// Asserts that input is a slice of the received message, without a copy.
fn is_part_of(input: &Bytes, message: &Bytes, from: usize) {
    assert_eq!(input, &message[from..]);
    assert!(input.is_empty() || input.as_ptr() == message[from..].as_ptr());
}

fn is_sound(attach: &Attach, json: &[u8]) {
    let size = attach.size().expect("an attach without a size is refused");
    assert!(json.len() <= 4096);
    let name = attach.name.as_deref();
    assert!(
        name.is_none_or(|name| (1..=100).contains(&name.chars().count()) && !name.contains(char::is_control))
    );
    // It encodes back to the same message, and its debug form hides the secret.
    let resume = attach.resume.as_ref().map(|resume| {
        let shown = format!("{resume:?}");
        assert!(resume.token.len() < 8 || !shown.contains(&resume.token), "{shown}");
        serde_json::json!({"token": resume.token, "out_off": resume.out_off, "in_off": resume.in_off})
    });
    let again = serde_json::json!({
        "cols": size.cols(), "rows": size.rows(), "mode": format!("{:?}", attach.mode).to_lowercase(),
        "name": attach.name, "session": attach.session, "resume": resume,
    });
    let again = format!("\x10{again}");
    // Escapes may make it longer than an attach may be.
    if again.len() <= 4096 {
        assert_eq!(frame::binary(again.into()), Ok(Frame::Attach(attach.clone())));
    }
}

/// Asserts that an error fits a close frame's reason and has no control characters.
fn is_printable_reason(error: Malformed) {
    let reason = Violation::from(error).to_string();
    assert!(
        reason.len() <= MAX_REASON && !reason.is_empty() && !reason.contains(char::is_control),
        "{reason:?}"
    );
}
