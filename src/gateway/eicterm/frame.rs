//! Parses the client's messages.

use std::fmt;

use bytes::{Buf as _, Bytes};
use serde::Deserialize;

use super::MAX_FRAME;
use crate::model::Size;

/// The largest `attach`, in bytes.
const MAX_ATTACH: usize = 4096;

/// The longest terminal name, in characters.
const MAX_NAME: usize = 100;

const INPUT: u8 = 0x00;
const RESIZE: u8 = 0x01;
const ACK: u8 = 0x02;
const PING: u8 = 0x03;
const END_OF_INPUT: u8 = 0x05;
const ATTACH: u8 = 0x10;

/// Unknown opcodes from here on are ignored: later versions may send them to an older gateway.
const OPTIONAL: u8 = 0x80;

/// A message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first message.
    Attach(Attach),
    /// Bytes for the terminal; may be empty.
    Input(Bytes),
    /// The terminal's new size.
    Resize(Size),
    /// Output was parsed up to this position.
    Ack(u64),
    /// Requests a `pong` with the same number.
    Ping(u64),
    /// No more input follows.
    EndOfInput,
    /// A message of a later version, ignored.
    Unknown,
}

/// The client's first message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Attach {
    /// Columns.
    cols: u16,
    /// Rows.
    rows: u16,
    /// Whether the client sends input or only watches. The default is to send input.
    #[serde(default)]
    pub mode: Mode,
    /// A display name for the terminal.
    #[serde(default)]
    pub name: Option<String>,
    /// A session to attach to, instead of a new one.
    #[serde(default)]
    pub session: Option<String>,
    /// A session to resume, from this client's positions.
    #[serde(default)]
    pub resume: Option<Resume>,
}

/// Whether a client sends input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It sends input.
    #[default]
    Drive,
    /// It only watches.
    Watch,
}

/// The client's positions when it lost its socket.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Resume {
    /// The token of the last `hello`.
    pub token: String,
    /// Output was parsed up to here; absent requests a repaint.
    #[serde(default)]
    pub out_off: Option<u64>,
    /// Input was acknowledged up to here.
    #[serde(default)]
    pub in_off: Option<u64>,
}

impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resume")
            .field("out_off", &self.out_off)
            .field("in_off", &self.in_off)
            .finish_non_exhaustive()
    }
}

impl Attach {
    /// Returns the requested terminal size.
    ///
    /// # Errors
    /// The size is invalid.
    pub fn size(&self) -> Result<Size, Malformed> {
        Size::new(self.cols, self.rows).map_err(|_| Malformed::Size)
    }
}

/// A message that breaks the protocol's rules: the socket is closed with 4400 and this as the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A BINARY message without an opcode.
    #[error("a message without an opcode")]
    Empty,
    /// An opcode below 0x80 that this version does not know.
    #[error("unknown opcode {0:#04x}")]
    Opcode(u8),
    /// A payload of the wrong length.
    #[error("opcode {0:#04x} with a payload of the wrong length")]
    Length(u8),
    /// An invalid size.
    #[error("no terminal has that size")]
    Size,
    /// More than [`MAX_FRAME`] bytes.
    #[error("a message above {MAX_FRAME} bytes")]
    TooLong,
    /// The JSON of `attach` is invalid.
    #[error("attach is malformed")]
    Attach,
}

/// Reads a BINARY message.
///
/// # Errors
/// [`Malformed`]; the socket is then closed.
pub fn binary(mut data: Bytes) -> Result<Frame, Malformed> {
    if !data.has_remaining() {
        return Err(Malformed::Empty);
    }
    let opcode = data.get_u8();
    if data.len() > MAX_FRAME {
        return Err(Malformed::TooLong);
    }
    let exactly = |length: usize| if data.len() == length { Ok(()) } else { Err(Malformed::Length(opcode)) };
    match opcode {
        INPUT => Ok(Frame::Input(data)),
        RESIZE => {
            exactly(4)?;
            let (cols, rows) = (data.get_u16(), data.get_u16());
            Size::new(cols, rows).map(Frame::Resize).map_err(|_| Malformed::Size)
        }
        ACK => exactly(8).map(|()| Frame::Ack(data.get_u64())),
        PING => exactly(8).map(|()| Frame::Ping(data.get_u64())),
        END_OF_INPUT => exactly(0).map(|()| Frame::EndOfInput),
        ATTACH => attach(&data).map(Frame::Attach),
        OPTIONAL.. => Ok(Frame::Unknown),
        opcode => Err(Malformed::Opcode(opcode)),
    }
}

/// Reads a TEXT message: verbatim input.
///
/// # Errors
/// [`Malformed::TooLong`].
pub fn text(data: Bytes) -> Result<Frame, Malformed> {
    if data.len() > MAX_FRAME { Err(Malformed::TooLong) } else { Ok(Frame::Input(data)) }
}

fn attach(json: &[u8]) -> Result<Attach, Malformed> {
    if json.len() > MAX_ATTACH {
        return Err(Malformed::TooLong);
    }
    // serde would accept an array of the members as well.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(Malformed::Attach);
    }
    let attach: Attach = serde_json::from_slice(json).map_err(|_| Malformed::Attach)?;
    attach.size()?;
    let is_printable = |name: &String| {
        name.chars().count() <= MAX_NAME && !name.is_empty() && !name.chars().any(char::is_control)
    };
    if attach.name.as_ref().is_some_and(|name| !is_printable(name)) {
        return Err(Malformed::Attach);
    }
    Ok(attach)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(data: &'static [u8]) -> Result<Frame, Malformed> {
        binary(Bytes::from_static(data))
    }

    #[test]
    fn each_opcode_has_its_payload() {
        assert_eq!(read(b"\x00ls\r"), Ok(Frame::Input(Bytes::from_static(b"ls\r"))));
        assert_eq!(read(b"\x00"), Ok(Frame::Input(Bytes::new())));
        assert_eq!(read(&[1, 0, 132, 0, 43]), Ok(Frame::Resize(Size::new(132, 43).unwrap())));
        assert_eq!(read(&[2, 0, 0, 0, 0, 0, 1, 0, 0]), Ok(Frame::Ack(65_536)));
        assert_eq!(read(&[3, 0, 0, 0, 0, 0, 0, 0, 7]), Ok(Frame::Ping(7)));
        assert_eq!(read(&[5]), Ok(Frame::EndOfInput));
        assert_eq!(read(&[0x80, 1, 2]), Ok(Frame::Unknown));
        assert_eq!(read(&[0xff]), Ok(Frame::Unknown));
        assert_eq!(text(Bytes::from_static(b"{\"t\":1}")), read(b"\x00{\"t\":1}"));
    }

    #[test]
    fn what_breaks_a_rule_says_which() {
        assert_eq!(read(b""), Err(Malformed::Empty));
        assert_eq!(read(&[4, 2]), Err(Malformed::Opcode(4)));
        assert_eq!(read(&[0x7f]), Err(Malformed::Opcode(0x7f)));
        assert_eq!(read(&[1, 0, 80, 0]), Err(Malformed::Length(1)));
        assert_eq!(read(&[1, 0, 0, 0, 24]), Err(Malformed::Size));
        assert_eq!(read(&[2, 0]), Err(Malformed::Length(2)));
        assert_eq!(read(&[5, 0]), Err(Malformed::Length(5)));
        let long = vec![0; MAX_FRAME + 2];
        assert_eq!(binary(long.clone().into()), Err(Malformed::TooLong));
        assert_eq!(text(long.into()), Err(Malformed::TooLong));
        assert!(binary(vec![0; MAX_FRAME + 1].into()).is_ok());
    }

    #[test]
    fn attach_needs_only_a_size() {
        let Ok(Frame::Attach(least)) = read(b"\x10{\"cols\":80,\"rows\":24}") else { panic!() };
        assert_eq!((least.size().unwrap(), least.mode, &least.resume), (Size::default(), Mode::Drive, &None));
        let whole = b"\x10{\"cols\":80,\"rows\":24,\"mode\":\"watch\",\"name\":\"one\",\"session\":\"s\",\
            \"resume\":{\"token\":\"secret\",\"out_off\":5,\"in_off\":null},\"later\":true}";
        let Ok(Frame::Attach(whole)) = read(whole) else { panic!() };
        assert_eq!((whole.mode, whole.name.as_deref()), (Mode::Watch, Some("one")));
        let resume = whole.resume.unwrap();
        assert_eq!((resume.out_off, resume.in_off), (Some(5), None));
        assert!(!format!("{resume:?}").contains("secret"));
        for bad in [
            &b"\x10"[..],
            b"\x10{}",
            b"\x10[80,24]",
            b"\x10{\"cols\":80,\"rows\":24,\"mode\":\"both\"}",
            b"\x10{\"cols\":80,\"rows\":24,\"name\":\"a\\u001bb\"}",
            b"\x10{\"cols\":-1,\"rows\":24}",
        ] {
            assert_eq!(read(bad), Err(Malformed::Attach), "{bad:?}");
        }
        assert_eq!(read(b"\x10{\"cols\":0,\"rows\":24}"), Err(Malformed::Size));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            // Any input passes unchanged.
            if let Ok(Frame::Input(input)) = binary(data.clone().into()) {
                prop_assert_eq!(&input[..], &data[1..]);
            }
        }
    }
}
