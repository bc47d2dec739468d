//! Bearer tokens, which are held as long as a request needs them, and their digests.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A bearer token as a request carries it. `Debug` does not show it; it is wiped when dropped.
pub struct BearerToken(Zeroizing<String>);

impl BearerToken {
    /// The longest token that is looked at, in bytes.
    pub const MAX_LEN: usize = 512;

    /// `text` as a token; `None` when it is empty, too long, or not visible ASCII throughout.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let sound = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        sound.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// Returns the SHA-256 of its bytes, which is what is stored. The platform's tokens have 256 random bits, so that
    /// neither salt nor stretching adds anything.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

/// The SHA-256 of a token. Comparing two takes the same time wherever they differ.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest as bytes, as the platform's database keeps it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for TokenDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenDigest {}

impl FromStr for TokenDigest {
    type Err = ();

    /// 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
            let value = high.zip(low).map(|(high, low)| high << 4 | low).ok_or(())?;
            *byte = u8::try_from(value).map_err(|_| ())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_sha256_of_the_token() {
        let digest = BearerToken::new("abc").unwrap().digest();
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), hex);
        assert_eq!(hex.to_uppercase().parse(), Ok(digest));
        assert_ne!(BearerToken::new("abd").unwrap().digest(), digest);
        for bad in ["", "ba78", &hex[1..], &format!("+{}", &hex[1..]), &hex.replace('b', "x")] {
            assert!(bad.parse::<TokenDigest>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_bounded_printable_and_not_shown() {
        for bad in ["", "a b", "a\n", "\u{e9}", &"a".repeat(BearerToken::MAX_LEN + 1)] {
            assert!(BearerToken::new(bad).is_none(), "{bad:?}");
        }
        let token = BearerToken::new("canary-token").unwrap();
        assert!(!format!("{token:?}").contains("canary"));
        assert!(!format!("{:?}", token.digest()).contains(&token.digest().to_string()));
    }
}
