//! Random secrets and their fingerprints.

use std::fmt;

use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

use crate::workspace::BearerToken;

/// The entropy of a cookie or ticket, in bytes.
const LEN: usize = 32;

/// The SHA-256 of a secret: a table keyed by it contains no credential.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint of `parts`, separated by NUL, which none of them contains.
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

    /// Returns the fingerprint of a token, as stored by the directory.
    pub(super) fn of_token(token: &BearerToken) -> Self {
        Self(*token.digest().as_bytes())
    }

    /// Returns the fingerprint of a value of [`random`]; `None` for any other text.
    pub(super) fn of_random(text: &str) -> Option<Self> {
        (text.len() == 2 * LEN).then(|| Self::of(&[text.as_bytes()]))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

/// Returns 256 random bits as text: the value of a cookie or ticket.
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
