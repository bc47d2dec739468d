//! `~.`, `~^Z` and `~~` at the start of a line, as ssh has them.

use bytes::Bytes;

/// Looks through what is typed for an escape.
#[derive(Debug)]
pub(crate) struct Escapes {
    at: At,
}

/// Where in a line the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Inside,
    AfterTilde,
}

/// What to do with what was typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Send these bytes.
    Send(Bytes),
    /// Send these bytes, then end the connection.
    Disconnect(Bytes),
    /// Send the first bytes, then stop until we are continued; the others were typed behind it.
    Suspend(Bytes, Bytes),
}

/// What Ctrl-Z sends.
const CTRL_Z: u8 = 0x1a;

impl Escapes {
    pub(crate) fn new() -> Self {
        Self { at: At::Start }
    }

    /// Takes what was typed; the state goes on from one piece to the next.
    pub(crate) fn scan(&mut self, typed: Bytes) -> Typed {
        if self.at == At::Inside && !typed.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Typed::Send(typed);
        }
        let mut out = Vec::with_capacity(typed.len() + 1);
        for (index, byte) in typed.iter().copied().enumerate() {
            match (self.at, byte) {
                (At::Start, b'~') => {
                    self.at = At::AfterTilde;
                    continue;
                }
                (At::AfterTilde, b'.') => return Typed::Disconnect(out.into()),
                (At::AfterTilde, CTRL_Z) => {
                    self.at = At::Start;
                    return Typed::Suspend(out.into(), typed.slice(index + 1..));
                }
                (At::AfterTilde, b'~') => out.push(b'~'),
                (At::AfterTilde, _) => out.extend([b'~', byte]),
                _ => out.push(byte),
            }
            self.at = if matches!(byte, b'\r' | b'\n') { At::Start } else { At::Inside };
        }
        Typed::Send(out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pieces: &[&str]) -> (String, bool) {
        let mut escapes = Escapes::new();
        let mut out = Vec::new();
        for piece in pieces {
            match escapes.scan(Bytes::copy_from_slice(piece.as_bytes())) {
                Typed::Send(bytes) => out.extend_from_slice(&bytes),
                Typed::Suspend(bytes, rest) => {
                    out.extend_from_slice(&bytes);
                    out.extend_from_slice(b"<stop>");
                    let Typed::Send(rest) = escapes.scan(rest) else { panic!("one escape at a time") };
                    out.extend_from_slice(&rest);
                }
                Typed::Disconnect(bytes) => {
                    out.extend_from_slice(&bytes);
                    return (String::from_utf8(out).unwrap(), true);
                }
            }
        }
        (String::from_utf8(out).unwrap(), false)
    }

    #[test]
    fn a_tilde_counts_at_the_start_of_a_line_only_whatever_the_pieces() {
        assert_eq!(sent(&["ls ~.\r"]), ("ls ~.\r".into(), false));
        assert_eq!(sent(&["~."]), (String::new(), true));
        assert_eq!(sent(&["ls\r", "~", "."]), ("ls\r".into(), true));
        assert_eq!(sent(&["~~."]), ("~.".into(), false));
        assert_eq!(sent(&["~", "x\r~y"]), ("~x\r~y".into(), false));
        assert_eq!(sent(&["~\r~."]), ("~\r".into(), true));
        assert_eq!(sent(&["ls\r~\u{1a}~~x", "~\u{1a}"]), ("ls\r<stop>~x~\u{1a}".into(), false));
        assert_eq!(sent(&["a", "~."]), ("a~.".into(), false));
    }
}
