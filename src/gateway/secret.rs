//! Random secrets, and what is kept of a secret: its fingerprint.

use std::fmt;

use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

use crate::workspace::BearerToken;

/// What the value of a cookie and a ticket is made of, in bytes.
const LEN: usize = 32;

/// The SHA-256 of a secret: a table that is keyed by it shows nobody what opens anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of `parts`, each told apart from the next by a NUL, which none of them has.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                hash.update([0]);
            }
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Of a token, as the directory keeps it.
    pub(super) fn of_token(token: &BearerToken) -> Self {
        Self(*token.digest().as_bytes())
    }

    /// Of what [`random`] made; `None` for what it cannot have made.
    pub(super) fn of_random(text: &str) -> Option<Self> {
        (text.len() == 2 * LEN).then(|| Self::of(&[text.as_bytes()]))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

/// 256 random bits as text: the value of a cookie, or of a ticket.
pub(super) fn random() -> String {
    let mut id = [0_u8; LEN];
    rand::rng().fill(&mut id);
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_256_random_bits() {
        let (a, b) = (random(), random());
        assert_eq!((a.len(), b.len()), (64, 64));
        assert_ne!(a, b);
        let fingerprint = Fingerprint::of_random(&a).unwrap();
        assert_ne!(Some(fingerprint), Fingerprint::of_random(&b));
        assert_eq!(format!("{fingerprint:?}"), "Fingerprint(..)");
        assert_eq!(Fingerprint::of_random("guessed"), None);
    }

    #[test]
    fn fingerprint_separates_parts() {
        assert_ne!(Fingerprint::of(&[b"a", b"bc"]), Fingerprint::of(&[b"ab", b"c"]));
    }
}
