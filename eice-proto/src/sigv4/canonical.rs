//! The canonical request, the string to sign and the signature, shared by signing and verifying.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::encoding::{Pair, encode_into, encode_path_into, encoded_len};
use crate::Timestamp;

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(crate) const TERMINATOR: &str = "aws4_request";

/// The scope of a credential: a region and a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Such as `eu-west-1`. The service's own region, not one parsed from a host name.
    pub region: String,
    /// The signing name, such as `ec2-instance-connect`.
    pub service: String,
}

impl Scope {
    /// The signing name of the tunnel and of SendSSHPublicKey.
    pub const EC2_INSTANCE_CONNECT: &'static str = "ec2-instance-connect";

    /// Creates the scope of `service` in `region`.
    #[must_use]
    pub fn new(region: impl Into<String>, service: impl Into<String>) -> Self {
        Self { region: region.into(), service: service.into() }
    }

    /// Returns `YYYYMMDD/region/service/aws4_request`.
    pub(crate) fn on(&self, date: &str) -> String {
        format!("{date}/{}/{}/{TERMINATOR}", self.region, self.service)
    }
}

/// The SHA-256 of a request's body, as in the canonical request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PayloadHash([u8; 32]);

impl PayloadHash {
    /// The hash of an empty body, which a presigned openTunnel carries (not `UNSIGNED-PAYLOAD`).
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// Hashes `body`.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl fmt::Display for PayloadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The text whose hash is signed. It contains the session token if that is in the query, so `Debug` shows only
/// the hash.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalRequest(Zeroizing<String>);

impl CanonicalRequest {
    /// Builds the request. `path` is as sent, `params` are decoded, `headers` are lower case, sorted and trimmed.
    pub(crate) fn new(
        method: &str,
        path: &str,
        params: &[Pair<'_>],
        headers: &[(String, String)],
        payload: &PayloadHash,
    ) -> Self {
        let params = sorted_by_name(params);
        let query_len: usize = params.iter().map(|(name, value)| name.len() + encoded_len(value) + 2).sum();
        let headers_len: usize = headers.iter().map(|(name, value)| 2 * name.len() + value.len() + 3).sum();
        let rest_len = method.len() + 3 * path.len() + 2 * size_of_val(&payload.0) + 6;

        let mut text = Zeroizing::new(String::with_capacity(query_len + headers_len + rest_len));
        text.push_str(method);
        text.push('\n');
        encode_path_into(&mut text, path);
        text.push('\n');
        for (at, (name, value)) in params.iter().enumerate() {
            if at > 0 {
                text.push('&');
            }
            text.push_str(name);
            text.push('=');
            encode_into(&mut text, value);
        }
        text.push('\n');
        for (name, value) in headers {
            text.push_str(name);
            text.push(':');
            text.push_str(value);
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&signed_headers(headers));
        text.push('\n');
        text.push_str(&payload.to_string());
        Self(text)
    }

    /// Returns the text. It may contain the session token: never log it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the SHA-256 of the text in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }
}

impl fmt::Debug for CanonicalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CanonicalRequest").field(&self.hash()).finish()
    }
}

/// Returns the parameters with encoded names, sorted by name, then by encoded value. Comparing `name=value` as a
/// whole would put `a=1` after `a-b=1`, because `-` is less than `=`.
fn sorted_by_name<'a>(params: &[Pair<'a>]) -> Vec<(String, &'a [u8])> {
    let encoded = |bytes: &[u8]| {
        let mut text = Zeroizing::new(String::with_capacity(encoded_len(bytes)));
        encode_into(&mut text, bytes);
        text
    };
    let mut sorted: Vec<(String, &[u8])> =
        params.iter().map(|(name, value)| (std::mem::take(&mut *encoded(name)), *value)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| encoded(a.1).cmp(&encoded(b.1))));
    sorted
}

/// Joins the names as in `SignedHeaders`.
pub(crate) fn signed_headers(headers: &[(String, String)]) -> String {
    headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";")
}

/// Returns a header's value as it is signed: trimmed, inner runs of spaces and tabs as one space.
pub(crate) fn canonical_value(value: &str) -> String {
    value.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Returns what the signing key signs: algorithm, time, scope and the canonical request's hash.
pub(crate) fn string_to_sign(canonical: &CanonicalRequest, scope: &Scope, date: Timestamp) -> String {
    format!("{ALGORITHM}\n{date}\n{}\n{}", scope.on(&date.date()), canonical.hash())
}

/// Computes the 32 bytes of the signature.
pub(crate) fn signature(secret: &[u8], scope: &Scope, date: Timestamp, string_to_sign: &str) -> [u8; 32] {
    let mut seed = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
    seed.extend_from_slice(b"AWS4");
    seed.extend_from_slice(secret);
    let mut key = Zeroizing::new(hmac(&seed, date.date().as_bytes()));
    for part in [scope.region.as_str(), scope.service.as_str(), TERMINATOR] {
        key = Zeroizing::new(hmac(&*key, part.as_bytes()));
    }
    hmac(&*key, string_to_sign.as_bytes())
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length; the error is for MACs that do not")]
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Encodes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_hash_matches_empty_body() {
        assert_eq!(PayloadHash::EMPTY, PayloadHash::of(b""));
    }

    #[test]
    fn parameters_sort_by_encoded_name() {
        let pieces: [Pair<'_>; 4] = [(b"a-b", b"1"), (b"a", b"b"), (b"B", b"3"), (b"a", b"!")];
        let sorted = sorted_by_name(&pieces);
        let names = sorted.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>();
        assert_eq!(names, [("B", &b"3"[..]), ("a", b"!"), ("a", b"b"), ("a-b", b"1")]);
    }

    #[test]
    fn inner_space_is_folded() {
        assert_eq!(canonical_value("  a \t  b  "), "a b");
    }

    #[test]
    fn canonical_request_is_redacted() {
        let param: Pair<'_> = (b"X-Amz-Security-Token", b"tok");
        let canonical = CanonicalRequest::new("GET", "/", &[param], &[], &PayloadHash::EMPTY);
        assert!(canonical.as_str().contains("tok"));
        assert!(!format!("{canonical:?}").contains("tok"));
    }
}
