//! The client's request head and the check of the server's response.

use std::fmt;

use zeroize::Zeroizing;

use super::accept::{accept_key, base64};
use super::rejection::{Rejection, printable};
use crate::PresignedUrl;

/// How much of a rejection's body is read, in bytes; the rest is ignored.
pub const MAX_BODY: usize = 64 * 1024;

/// The maximum length of the `User-Agent`, in bytes.
const MAX_USER_AGENT: usize = 256;

/// The maximum length of a request id, in characters.
const MAX_REQUEST_ID: usize = 128;

/// The WebSocket upgrade of one connection.
pub struct Upgrade {
    head: Zeroizing<String>,
    accept: String,
}

impl Upgrade {
    /// Creates the upgrade to `url`. `nonce` must be random and new for each connection. `user_agent` appears in
    /// CloudTrail; characters that a header cannot hold are removed from it.
    ///
    /// The header lines and their order are aws-cli's (protocol reference, section c): no subprotocol, no
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

    /// Returns the bytes to send. They contain the presigned query: never log them.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.head.as_bytes()
    }

    /// Interprets the response: [`classify`], and for a 101 the checks of RFC 6455.
    ///
    /// # Errors
    /// [`UpgradeError`] if the response is a 101 that does not answer this request.
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

    /// Checks the response as RFC 6455, section 4.1, asks of a client (steps 2 to 6).
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

/// Why a 101 is not a valid answer to the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// A required header is missing, duplicated or wrong.
    #[error("the server switched protocols with a wrong {0} header")]
    Header(&'static str),
    /// The server chose an extension or a subprotocol that was not offered.
    #[error("the server switched protocols with a {0} header that was not asked for")]
    Unrequested(&'static str),
}

/// The outcome of the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The tunnel is open. Whether the target is reachable shows only later, in frames.
    #[non_exhaustive]
    Accepted {
        /// `x-amzn-RequestId`, by which CloudTrail and AWS support identify the tunnel.
        request_id: Option<String>,
    },
    /// The tunnel was rejected.
    Rejected(Rejection),
}

/// Classifies a response: 101 is a tunnel, everything else a rejection that the body explains.
///
/// It does not check that a 101 answers this client; [`Upgrade::conclude`] does. At most [`MAX_BODY`] bytes of
/// the body are read.
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

/// Returns the first header with that name.
fn header<'a, N: AsRef<str>, V: AsRef<str>>(headers: &'a [(N, V)], name: &'a str) -> Option<&'a str> {
    values(headers, name).next().map(str::trim)
}
