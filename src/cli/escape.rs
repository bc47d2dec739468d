//! The escapes `~.`, `~^Z`, `~#`, `~?` and `~~` at the start of a line, as in ssh.

use bytes::Bytes;

/// Scans typed input for escapes.
#[derive(Debug)]
pub(crate) struct Escapes {
    at: At,
}

/// The position of the next byte in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Inside,
    AfterTilde,
}

/// What to do with typed input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Send these bytes.
    Send(Bytes),
    /// Send these bytes, then end the connection.
    Disconnect(Bytes),
    /// Send the first bytes, then perform the action; the other bytes were typed after it.
    Do(Action, Bytes, Bytes),
}

/// The action of an escape other than disconnecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Suspend the program.
    Suspend,
    /// List the forwards.
    List,
    /// List the escapes.
    Help,
}

/// What `~?` prints.
pub(crate) const HELP: &str = "\
escapes, at the start of a line:
  ~.   end the connection
  ~^Z  suspend eice
  ~#   list the forwards and their connections
  ~?   this list
  ~~   send a tilde
";

/// The byte of Ctrl-Z.
const CTRL_Z: u8 = 0x1a;

impl Escapes {
    pub(crate) fn new() -> Self {
        Self { at: At::Start }
    }

    /// Scans the next chunk of input; the state carries over between chunks.
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
                (At::AfterTilde, CTRL_Z | b'#' | b'?') => {
                    let action = match byte {
                        CTRL_Z => Action::Suspend,
                        b'#' => Action::List,
                        _ => Action::Help,
                    };
                    self.at = At::Start;
                    return Typed::Do(action, out.into(), typed.slice(index + 1..));
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
            let mut typed = Bytes::copy_from_slice(piece.as_bytes());
            loop {
                match escapes.scan(typed) {
                    Typed::Send(bytes) => {
                        out.extend_from_slice(&bytes);
                        break;
                    }
                    Typed::Do(action, bytes, rest) => {
                        out.extend_from_slice(&bytes);
                        out.extend_from_slice(format!("<{action:?}>").as_bytes());
                        typed = rest;
                    }
                    Typed::Disconnect(bytes) => {
                        out.extend_from_slice(&bytes);
                        return (String::from_utf8(out).unwrap(), true);
                    }
                }
            }
        }
        (String::from_utf8(out).unwrap(), false)
    }

    #[test]
    fn tilde_works_only_at_line_start() {
        assert_eq!(sent(&["ls ~.\r"]), ("ls ~.\r".into(), false));
        assert_eq!(sent(&["~."]), (String::new(), true));
        assert_eq!(sent(&["ls\r", "~", "."]), ("ls\r".into(), true));
        assert_eq!(sent(&["~~."]), ("~.".into(), false));
        assert_eq!(sent(&["~", "x\r~y"]), ("~x\r~y".into(), false));
        assert_eq!(sent(&["~\r~."]), ("~\r".into(), true));
        assert_eq!(sent(&["ls\r~\u{1a}~~x", "~\u{1a}"]), ("ls\r<Suspend>~x~\u{1a}".into(), false));
        assert_eq!(sent(&["~?~#", "x~?"]), ("<Help><List>x~?".into(), false));
        assert_eq!(sent(&["~?~."]), ("<Help>".into(), true));
        assert_eq!(sent(&["a", "~."]), ("a~.".into(), false));
    }
}
