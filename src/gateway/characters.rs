//! Output in pieces that end between UTF-8 characters.
//!
//! xterm.js loses some characters when a write of bytes ends within them. The platform's client writes each message as
//! it comes, so a message that ends within a character would lose it.

use bytes::Bytes;

/// The longest character, in bytes.
const MAX_CHARACTER: usize = 4;

/// Holds back the unfinished character at the end of the output.
#[derive(Debug, Default)]
pub(super) struct Characters {
    held: [u8; MAX_CHARACTER],
    length: usize,
}

impl Characters {
    /// Returns what may be sent now, in order. Bytes that are not UTF-8 pass unchanged.
    pub(super) fn push(&mut self, mut data: Bytes) -> [Option<Bytes>; 2] {
        let finished = if self.is_empty() { None } else { self.finish(&mut data) };
        let rest = data.split_off(data.len() - unfinished(&data));
        self.hold(&rest);
        [finished, Some(data).filter(|data| !data.is_empty())]
    }

    /// Returns the unfinished character that is held back, if any.
    pub(super) fn flush(&mut self) -> Option<Bytes> {
        let held = self.held();
        let held = (!held.is_empty()).then(|| Bytes::copy_from_slice(held));
        self.length = 0;
        held
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes bytes from `data` until the held character is whole, or turns out not to be one.
    fn finish(&mut self, data: &mut Bytes) -> Option<Bytes> {
        while unfinished(self.held()) > 0 {
            let next = data.first().copied().filter(|byte| is_continuation(*byte));
            match next {
                Some(byte) => {
                    self.hold(&[byte]);
                    let _ = data.split_to(1);
                }
                None if data.is_empty() => return None,
                None => break,
            }
        }
        self.flush()
    }

    fn hold(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(place) = self.held.get_mut(self.length) {
                *place = *byte;
                self.length += 1;
            }
        }
    }

    fn held(&self) -> &[u8] {
        self.held.get(..self.length).unwrap_or_default()
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Returns the number of bytes at the end of `data` that begin a character and may still become one.
fn unfinished(data: &[u8]) -> usize {
    let last = data.iter().rev().take(MAX_CHARACTER - 1).position(|byte| !is_continuation(*byte));
    let Some(start) = last.map(|last| data.len() - 1 - last) else { return 0 };
    match std::str::from_utf8(data.get(start..).unwrap_or_default()) {
        Err(error) if error.error_len().is_none() => data.len() - start - error.valid_up_to(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pushed(characters: &mut Characters, data: &[u8]) -> Vec<Vec<u8>> {
        characters
            .push(Bytes::copy_from_slice(data))
            .into_iter()
            .flatten()
            .map(|piece| piece.to_vec())
            .collect()
    }

    #[test]
    fn unfinished_character_is_held() {
        for character in ["\u{e9}", "\u{20ac}", "\u{2026}", "\u{1f600}", "\u{10ffff}"] {
            let bytes = character.as_bytes();
            for cut in 1..bytes.len() {
                let mut characters = Characters::default();
                let first = [b"a", &bytes[..cut]].concat();
                assert_eq!(pushed(&mut characters, &first), [b"a"]);
                let second = [&bytes[cut..], b"b"].concat();
                assert_eq!(pushed(&mut characters, &second), [bytes, b"b"], "{character} cut at {cut}");
                assert!(characters.is_empty());
            }
        }
    }

    #[test]
    fn invalid_bytes_are_not_held() {
        for bytes in
            [&b"\xff"[..], b"\x80", b"a\x80\x80\x80", b"\xc0", b"\xe0\x80", b"\xed\xa0", b"\xf5", b"\xf0\x80"]
        {
            let mut characters = Characters::default();
            assert_eq!(pushed(&mut characters, bytes), [bytes]);
            assert!(characters.is_empty(), "{bytes:?}");
        }
        // A character that is interrupted by another one.
        let mut characters = Characters::default();
        assert_eq!(pushed(&mut characters, b"\xe2\x82"), Vec::<Vec<u8>>::new());
        assert_eq!(pushed(&mut characters, b"x"), [&b"\xe2\x82"[..], b"x"]);
        assert_eq!(pushed(&mut characters, b"\xf0\x9f"), Vec::<Vec<u8>>::new());
        assert_eq!(pushed(&mut characters, b"\xe2\x82"), [b"\xf0\x9f"]);
        assert_eq!(characters.flush().unwrap(), &b"\xe2\x82"[..]);
        assert_eq!(characters.flush(), None);
    }

    proptest! {
        #[test]
        fn text_cut_anywhere_comes_whole(text in ".{0,40}", cut in 1_usize..6) {
            let mut characters = Characters::default();
            let mut seen = String::new();
            for piece in text.as_bytes().chunks(cut) {
                for piece in pushed(&mut characters, piece) {
                    seen.push_str(std::str::from_utf8(&piece).unwrap());
                }
            }
            prop_assert!(characters.is_empty());
            prop_assert_eq!(seen, text);
        }

        #[test]
        fn any_bytes_pass_unchanged(data in proptest::collection::vec(any::<u8>(), 0..60), cut in 1_usize..6) {
            let mut characters = Characters::default();
            let mut seen = Vec::new();
            for piece in data.chunks(cut) {
                seen.extend(pushed(&mut characters, piece).concat());
                prop_assert!(characters.held().len() < MAX_CHARACTER);
            }
            seen.extend(characters.flush().unwrap_or_default());
            prop_assert_eq!(seen, data);
        }
    }
}
