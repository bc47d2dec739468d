//! The client's request head, and the server's answer.

use std::fmt;

use zeroize::Zeroizing;

use super::accept::{accept_key, base64};
use super::rejection::{Rejection, printable};
use crate::PresignedUrl;

/// How much of a refusal's body is looked at, in bytes; reading more is of no use.
pub const MAX_BODY: usize = 64 * 1024;

/// The longest `User-Agent` that is sent, in bytes.
const MAX_USER_AGENT: usize = 256;

/// The longest request id that is kept, in characters.
const MAX_REQUEST_ID: usize = 128;

/// One upgrade of one connection.
pub struct Upgrade {
    head: Zeroizing<String>,
    accept: String,
}

impl Upgrade {
    /// The upgrade to `url`. `nonce` must be random and new for each connection; `user_agent` is what CloudTrail
    /// will show, characters that a header cannot hold are left out of it.
    ///
    /// The lines and their order are those of aws-cli (protocol reference, section c): no subprotocol, no
    /// extension, no Origin. The Host is the signed one, with its port unless that is 443.
    #[must_use]
    pub fn new(url: &PresignedUrl, nonce: [u8; 16], user_agent: &str) -> Self {
        let key = base64(&nonce);
        let user_agent: String =
            user_agent.chars().filter(|c| matches!(c, ' '..='~')).take(MAX_USER_AGENT).collect();
        let head = format!(
            "GET {} HTTP/1.1\r\n\
             Host: {}\r\n\
             Upgrade: websocket\r\n\
             Connection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Version: 13\r\n\
             User-Agent: {}\r\n\
             \r\n",
            url.path_and_query(),
            url.authority(),
            user_agent.trim(),
        );
        Self { head: Zeroizing::new(head), accept: accept_key(&key) }
    }

    /// The bytes to send. They hold the presigned query: never log them.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.head.as_bytes()
    }

    /// What the answer means: [`classify`], and for a 101 the checks that make it a WebSocket.
    ///
    /// # Errors
    /// [`UpgradeError`] when the answer is a 101 and not to this request.
    pub fn conclude<N: AsRef<str>, V: AsRef<str>>(
        &self,
        status: u16,
        headers: &[(N, V)],
        body: &[u8],
    ) -> Result<Handshake, UpgradeError> {
        let handshake = classify(status, headers, body);
        if matches!(handshake, Handshake::Accepted { .. }) {
            self.check(headers)?;
        }
        Ok(handshake)
    }

    /// RFC 6455, section 4.1, the client's steps 2 to 6.
    fn check<N: AsRef<str>, V: AsRef<str>>(&self, headers: &[(N, V)]) -> Result<(), UpgradeError> {
        let is_upgrade = header(headers, "upgrade").is_some_and(|v| v.eq_ignore_ascii_case("websocket"));
        if !is_upgrade {
            return Err(UpgradeError::Header("Upgrade"));
        }
        let mut connection = values(headers, "connection").flat_map(|value| value.split(','));
        if !connection.any(|token| token.trim().eq_ignore_ascii_case("upgrade")) {
            return Err(UpgradeError::Header("Connection"));
        }
        let mut accepts = values(headers, "sec-websocket-accept");
        match (accepts.next(), accepts.next()) {
            (Some(accept), None) if accept.trim() == self.accept => {}
            _ => return Err(UpgradeError::Header("Sec-WebSocket-Accept")),
        }
        for name in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
            if values(headers, name).next().is_some() {
                return Err(UpgradeError::Unrequested(name));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").finish_non_exhaustive()
    }
}

/// Why a 101 is not the answer to our upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// A header that makes it a WebSocket is absent, doubled or wrong.
    #[error("the server switched protocols with a wrong {0} header")]
    Header(&'static str),
    /// The server chose something that was not offered.
    #[error("the server switched protocols with a {0} header that was not asked for")]
    Unrequested(&'static str),
}

/// What the service made of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The tunnel is there. Whether the target answers shows later, in frames.
    Accepted {
        /// `x-amzn-RequestId`, by which CloudTrail and AWS's support know the tunnel.
        request_id: Option<String>,
    },
    /// There is no tunnel.
    Rejected(Rejection),
}

/// Reads a response: 101 is a tunnel, everything else a rejection that its body explains.
///
/// It does not check that a 101 answers this client; [`Upgrade::conclude`] does. Of the body at most [`MAX_BODY`]
/// bytes are looked at.
#[must_use]
pub fn classify<N: AsRef<str>, V: AsRef<str>>(status: u16, headers: &[(N, V)], body: &[u8]) -> Handshake {
    let request_id = ["x-amzn-requestid", "x-amz-request-id"]
        .into_iter()
        .find_map(|name| header(headers, name))
        .map(|id| printable(id, MAX_REQUEST_ID))
        .filter(|id| !id.is_empty());
    if status == 101 {
        return Handshake::Accepted { request_id };
    }
    let body = body.get(..MAX_BODY).unwrap_or(body);
    let error_type = header(headers, "x-amzn-errortype");
    Handshake::Rejected(Rejection::read(status, error_type, body, request_id))
}

fn values<'a, N: AsRef<str>, V: AsRef<str>>(
    headers: &'a [(N, V)],
    name: &'a str,
) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |(key, _)| key.as_ref().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_ref())
}

/// The first header of that name.
fn header<'a, N: AsRef<str>, V: AsRef<str>>(headers: &'a [(N, V)], name: &'a str) -> Option<&'a str> {
    values(headers, name).next().map(str::trim)
}
