//! A received request, parsed as far as its signature requires.

use std::fmt;

use super::PayloadHash;
use super::canonical::{ALGORITHM, TERMINATOR, canonical_value};
use super::encoding::{Param, parse_query};
use super::error::{Malformed, ScopePart, VerifyError, excerpt};
use crate::Timestamp;

/// The maximum number of signed headers.
const MAX_SIGNED_HEADERS: usize = 64;

/// A request as received.
#[derive(Clone, Copy)]
pub struct ReceivedRequest<'a> {
    /// Such as `GET`.
    pub method: &'a str,
    /// The request target of the request line: path, and query if there is one, still encoded.
    pub path_and_query: &'a str,
    /// All headers, in any case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The hash of the received body, computed here; a header's claim is not trusted.
    pub payload: PayloadHash,
}

impl<'a> ReceivedRequest<'a> {
    pub(super) fn path(&self) -> &'a str {
        self.path_and_query.split_once('?').map_or(self.path_and_query, |(path, _)| path)
    }

    pub(super) fn query(&self) -> &'a str {
        self.path_and_query.split_once('?').map_or("", |(_, query)| query)
    }

    /// Returns the value of a header that may appear at most once.
    pub(super) fn header(&self, name: &str) -> Result<Option<&'a str>, VerifyError> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| *value);
        match values.next() {
            Some(_) => Err(VerifyError::DuplicateHeader(excerpt(name.as_bytes()))),
            None => Ok(first),
        }
    }
}

impl fmt::Debug for ReceivedRequest<'_> {
    /// Shows method and path only: the query and the headers may contain a token and a signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("method", &self.method)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// The parts of a signature, from the query or from headers.
pub(super) struct Claim {
    pub(super) access_key_id: String,
    pub(super) scope_date: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) date: Timestamp,
    /// Seconds; `None` if the request has no expiry.
    pub(super) expires: Option<u32>,
    pub(super) session_token: Option<String>,
    /// Lower case, sorted, without duplicates.
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: [u8; 64],
    /// The decoded query without the signature.
    pub(super) params: Vec<Param>,
    pub(super) in_query: bool,
}

impl Claim {
    pub(super) fn read(request: &ReceivedRequest<'_>, max_expires: u32) -> Result<Self, VerifyError> {
        check_path(request.path())?;
        let params = parse_query(request.query())?;
        let authorization = request.header("authorization")?;
        let in_query = params.iter().any(|param| is_signature_param(&param.name));
        match (in_query, authorization) {
            (true, Some(_)) => Err(Malformed::TwoSignatures.into()),
            (true, None) => Self::from_query(params, max_expires),
            (false, Some(authorization)) => Self::from_header(request, authorization, params),
            (false, None) => Err(VerifyError::Missing),
        }
    }

    fn from_query(mut params: Vec<Param>, max_expires: u32) -> Result<Self, VerifyError> {
        let signature = match params.iter().position(|param| param.name == b"X-Amz-Signature") {
            Some(at) => params.remove(at).value,
            None => return Err(Malformed::Absent("X-Amz-Signature").into()),
        };
        let param = |name: &'static str| {
            params.iter().find(|param| param.name == name.as_bytes()).map(|param| param.value.as_slice())
        };
        let required = |name: &'static str| param(name).ok_or(Malformed::Absent(name));
        if required("X-Amz-Algorithm")? != ALGORITHM.as_bytes() {
            return Err(Malformed::Algorithm.into());
        }
        let expires = match param("X-Amz-Expires") {
            None => None,
            Some(text) => Some(seconds(text, max_expires).ok_or(Malformed::Expires)?),
        };
        let session_token = match param("X-Amz-Security-Token") {
            None => None,
            Some(token) => Some(String::from_utf8(token.to_vec()).map_err(|_| Malformed::SessionToken)?),
        };
        let credential = Credential::parse(required("X-Amz-Credential")?)?;
        Ok(Self {
            date: date(required("X-Amz-Date")?)?,
            expires,
            session_token,
            signed_headers: header_list(required("X-Amz-SignedHeaders")?)?,
            signature: signature_digits(&signature)?,
            access_key_id: credential.access_key_id,
            scope_date: credential.date,
            region: credential.region,
            service: credential.service,
            params,
            in_query: true,
        })
    }

    fn from_header(
        request: &ReceivedRequest<'_>,
        authorization: &str,
        params: Vec<Param>,
    ) -> Result<Self, VerifyError> {
        let parts = match authorization.trim().split_once(' ') {
            Some((ALGORITHM, parts)) => parts,
            _ => return Err(Malformed::Algorithm.into()),
        };
        let (mut credential, mut headers, mut signature) = (None, None, None);
        for part in parts.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(Malformed::Authorization)?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut headers,
                "Signature" => &mut signature,
                _ => return Err(Malformed::Authorization.into()),
            };
            if slot.replace(value.as_bytes()).is_some() {
                return Err(Malformed::Authorization.into());
            }
        }
        let credential = Credential::parse(credential.ok_or(Malformed::Absent("Credential"))?)?;
        let sent = request.header("x-amz-date")?.ok_or(Malformed::Absent("X-Amz-Date"))?;
        Ok(Self {
            date: date(sent.trim().as_bytes())?,
            expires: None,
            session_token: request.header("x-amz-security-token")?.map(|token| token.trim().to_owned()),
            signed_headers: header_list(headers.ok_or(Malformed::Absent("SignedHeaders"))?)?,
            signature: signature_digits(signature.ok_or(Malformed::Absent("Signature"))?)?,
            access_key_id: credential.access_key_id,
            scope_date: credential.date,
            region: credential.region,
            service: credential.service,
            params,
            in_query: false,
        })
    }

    /// Returns the signed headers with their received values. The host must be signed, and so must every `x-amz-*`
    /// header of a request that is signed by header, because the service acts on those.
    pub(super) fn canonical_headers(
        &self,
        request: &ReceivedRequest<'_>,
    ) -> Result<Vec<(String, String)>, VerifyError> {
        let is_signed = |name: &str| self.signed_headers.iter().any(|known| known == name);
        if !is_signed("host") {
            return Err(VerifyError::UnsignedHeader("host".into()));
        }
        if !self.in_query {
            for (name, _) in request.headers {
                let name = name.to_ascii_lowercase();
                if name.starts_with("x-amz-") && !is_signed(&name) {
                    return Err(VerifyError::UnsignedHeader(excerpt(name.as_bytes())));
                }
            }
        }
        self.signed_headers
            .iter()
            .map(|name| {
                // A signed header that is missing cannot match.
                let value = request.header(name)?.ok_or(VerifyError::BadSignature)?;
                Ok((name.clone(), canonical_value(value)))
            })
            .collect()
    }
}

/// Accepts only a path that every client signs alike. Some clients normalize others and some do not, so the signed
/// path could differ from the routed one.
fn check_path(path: &str) -> Result<(), Malformed> {
    let rest = path.strip_prefix('/').ok_or(Malformed::Path)?;
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    let segments = rest.strip_suffix('/').unwrap_or(rest);
    if (!rest.is_empty() && segments.split('/').any(odd)) || path.contains(['\\', '#']) {
        return Err(Malformed::Path);
    }
    Ok(())
}

/// Returns whether a parameter marks the query as signed.
fn is_signature_param(name: &[u8]) -> bool {
    matches!(name, b"X-Amz-Algorithm" | b"X-Amz-Credential" | b"X-Amz-Signature")
}

struct Credential {
    access_key_id: String,
    date: String,
    region: String,
    service: String,
}

impl Credential {
    fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Credential)?;
        let parts: Vec<&str> = text.splitn(6, '/').collect();
        let &[access_key_id, date, region, service, terminator] = parts.as_slice() else {
            return Err(Malformed::Credential.into());
        };
        if access_key_id.is_empty() {
            return Err(Malformed::Credential.into());
        }
        if terminator != TERMINATOR {
            return Err(VerifyError::ScopeMismatch {
                part: ScopePart::Terminator,
                expected: TERMINATOR.into(),
                received: excerpt(terminator.as_bytes()),
            });
        }
        Ok(Self {
            access_key_id: access_key_id.into(),
            date: date.into(),
            region: region.into(),
            service: service.into(),
        })
    }
}

fn date(bytes: &[u8]) -> Result<Timestamp, Malformed> {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or(Malformed::Date)
}

fn seconds(bytes: &[u8], max: u32) -> Option<u32> {
    let digits = std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok().filter(|seconds| (1..=max).contains(seconds))
}

fn signature_digits(bytes: &[u8]) -> Result<[u8; 64], Malformed> {
    let digits: [u8; 64] = bytes.try_into().map_err(|_| Malformed::Signature)?;
    let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if digits.iter().all(is_digit) { Ok(digits) } else { Err(Malformed::Signature) }
}

/// Parses header names: RFC 9110 tokens in lower case, strictly ascending.
fn header_list(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::SignedHeaders)?;
    let names: Vec<&str> = text.split(';').take(MAX_SIGNED_HEADERS + 1).collect();
    let is_token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    let are_names = names.iter().all(|name| !name.is_empty() && name.bytes().all(is_token));
    let ascend = names.windows(2).all(|pair| pair[0] < pair[1]);
    if names.len() > MAX_SIGNED_HEADERS || !are_names || !ascend {
        return Err(Malformed::SignedHeaders);
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}
