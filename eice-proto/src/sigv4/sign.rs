//! Computing a signature.

use std::fmt;

use zeroize::Zeroizing;

use super::canonical::{
    ALGORITHM, CanonicalRequest, PayloadHash, Scope, canonical_value, hex, signature, signed_headers,
    string_to_sign,
};
use super::encoding::{Pair, encode_into, encoded_len};
use crate::{Credentials, Timestamp};

/// A request to sign.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Such as `GET`.
    pub method: &'a str,
    /// The path as sent, percent-encoded where necessary, without the query.
    pub path: &'a str,
    /// The query's parameters, decoded, each name once, in the order of sending.
    pub params: &'a [(&'a str, &'a str)],
    /// The headers to sign, in any order and case, each name once. `host` must be among them, exactly as sent.
    pub headers: &'a [(&'a str, &'a str)],
    /// The hash of the body.
    pub payload: PayloadHash,
}

impl fmt::Debug for Request<'_> {
    /// Shows only the names of parameters and headers: their values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("params", &names(self.params))
            .field("headers", &names(self.headers))
            .finish_non_exhaustive()
    }
}

/// A signed request: what to send, and the intermediate steps.
#[derive(Clone)]
pub struct Signed {
    query: Zeroizing<String>,
    headers: Vec<(&'static str, Zeroizing<String>)>,
    canonical_request: CanonicalRequest,
    string_to_sign: String,
    signature: Zeroizing<String>,
}

impl Signed {
    /// Returns the whole query, encoded, in the order of sending, without `?`. With [`presign`] it ends in the
    /// signature and authorizes anyone who has it: never log it.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Returns the headers to add, in botocore's order: none for [`presign`]; for [`sign`] `X-Amz-Date`,
    /// `X-Amz-Security-Token` with temporary credentials, and `Authorization`.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Returns the canonical request.
    #[must_use]
    pub fn canonical_request(&self) -> &CanonicalRequest {
        &self.canonical_request
    }

    /// Returns the string to sign. It contains no secret.
    #[must_use]
    pub fn string_to_sign(&self) -> &str {
        &self.string_to_sign
    }

    /// Returns the signature, 64 hexadecimal digits.
    #[must_use]
    pub fn signature(&self) -> &str {
        &self.signature
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("canonical_request", &self.canonical_request).finish_non_exhaustive()
    }
}

/// Signs `request` in its query, as a presigned URL.
///
/// The `X-Amz-*` parameters follow the request's own in botocore's order; `expires` is `X-Amz-Expires` in seconds.
/// `None` leaves it out, as Teleport and every user of aws-sdk-go-v2's presigner do.
#[must_use]
pub fn presign(
    request: &Request<'_>,
    credentials: &Credentials,
    scope: &Scope,
    now: Timestamp,
    expires: Option<u32>,
) -> Signed {
    let headers = canonical_headers(request.headers.iter().copied());
    let credential = format!("{}/{}", credentials.access_key_id(), scope.on(&now.date()));
    let date = now.to_string();
    let expires = expires.map(|seconds| seconds.to_string());
    let names = signed_headers(&headers);
    let mut params = pairs(request.params);
    let mut add = |name: &'static str, value| params.push((name.as_bytes(), value));
    add("X-Amz-Algorithm", ALGORITHM.as_bytes());
    add("X-Amz-Credential", credential.as_bytes());
    add("X-Amz-Date", date.as_bytes());
    if let Some(seconds) = &expires {
        add("X-Amz-Expires", seconds.as_bytes());
    }
    add("X-Amz-SignedHeaders", names.as_bytes());
    if let Some(token) = credentials.session_token() {
        add("X-Amz-Security-Token", token.as_bytes());
    }
    let canonical = CanonicalRequest::new(request.method, request.path, &params, &headers, &request.payload);
    let (string_to_sign, signature) = seal(&canonical, credentials, scope, now);
    params.push((b"X-Amz-Signature", signature.as_bytes()));
    let query = query_of(&params);
    Signed { query, headers: Vec::new(), canonical_request: canonical, string_to_sign, signature }
}

/// Signs `request` with an `Authorization` header.
///
/// `X-Amz-Date` and, with temporary credentials, `X-Amz-Security-Token` are signed too and returned by
/// [`Signed::headers`]; they must not be in `request.headers`.
#[must_use]
pub fn sign(request: &Request<'_>, credentials: &Credentials, scope: &Scope, now: Timestamp) -> Signed {
    let date = now.to_string();
    let mut added = vec![("X-Amz-Date", Zeroizing::new(date))];
    if let Some(token) = credentials.session_token() {
        added.push(("X-Amz-Security-Token", Zeroizing::new(token.to_owned())));
    }
    let headers = canonical_headers(
        request.headers.iter().copied().chain(added.iter().map(|(name, value)| (*name, value.as_str()))),
    );
    let params = pairs(request.params);
    let canonical = CanonicalRequest::new(request.method, request.path, &params, &headers, &request.payload);
    let (string_to_sign, signature) = seal(&canonical, credentials, scope, now);
    let authorization = format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
        credentials.access_key_id(),
        scope.on(&now.date()),
        signed_headers(&headers),
        *signature,
    );
    added.push(("Authorization", Zeroizing::new(authorization)));
    Signed {
        query: query_of(&params),
        headers: added,
        canonical_request: canonical,
        string_to_sign,
        signature,
    }
}

fn seal(
    canonical: &CanonicalRequest,
    credentials: &Credentials,
    scope: &Scope,
    now: Timestamp,
) -> (String, Zeroizing<String>) {
    let text = string_to_sign(canonical, scope, now);
    let signature = hex(&signature(credentials.secret_access_key().as_bytes(), scope, now, &text));
    (text, Zeroizing::new(signature))
}

fn pairs<'a>(params: &[(&'a str, &'a str)]) -> Vec<Pair<'a>> {
    params.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

/// Returns the names in lower case and sorted, with their canonical values.
fn canonical_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), canonical_value(value))).collect();
    headers.sort();
    headers
}

fn query_of(params: &[Pair<'_>]) -> Zeroizing<String> {
    let len = params.iter().map(|(name, value)| encoded_len(name) + encoded_len(value) + 2).sum();
    let mut query = Zeroizing::new(String::with_capacity(len));
    for (name, value) in params {
        if !query.is_empty() {
            query.push('&');
        }
        encode_into(&mut query, name);
        query.push('=');
        encode_into(&mut query, value);
    }
    query
}
