//! The WebSocket upgrade, up to the first frame.

use std::io;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::BytesMut;
use eice_proto::PresignedUrl;
use eice_proto::handshake::{Handshake, MAX_BODY, Rejection, Upgrade};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::error::{ClockSkew, Error};
use super::head::{self, Head, HeadError};

/// How long to wait for the body of a rejection after its head: the body only explains.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// Signatures tolerate clock differences below this.
const TOLERATED_SKEW: Duration = Duration::from_secs(60);

/// An accepted upgrade.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) request_id: Option<String>,
    /// The bytes after the head: the first frames.
    pub(super) rest: Vec<u8>,
}

/// Requests the tunnel and reads the response. The caller sets the timeout.
pub(super) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    url: &PresignedUrl,
    user_agent: &str,
) -> Result<Accepted, Error> {
    let host = url.authority().host();
    let broken = |source| Error::UpgradeBroken { host: host.to_owned(), source };
    let malformed = |what: String| Error::UpgradeMalformed { host: host.to_owned(), what };

    let upgrade = Upgrade::new(url, rand::random(), user_agent);
    stream.write_all(upgrade.head()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;

    let mut buffer = BytesMut::new();
    let head = head::read(stream, &mut buffer).await.map_err(|error| match error {
        HeadError::Io(error) => broken(error),
        HeadError::Malformed(what) => malformed(what.to_owned()),
    })?;
    let body = if head.status == 101 { Vec::new() } else { read_body(stream, &head, &mut buffer).await };
    let handshake =
        upgrade.conclude(head.status, &head.headers, &body).map_err(|error| malformed(error.to_string()))?;
    match handshake {
        Handshake::Accepted { request_id, .. } => Ok(Accepted { request_id, rest: buffer.to_vec() }),
        Handshake::Rejected(rejection) => {
            let skew = skew(&head, &rejection, SystemTime::now());
            Err(Error::Rejected { skew, rejection: Box::new(rejection) })
        }
    }
}

/// Returns as much of the body as arrives in time and within the bound. A truncated body is used as it is: the
/// rejection itself is in the head.
async fn read_body<S: AsyncRead + Unpin>(stream: &mut S, head: &Head, buffer: &mut BytesMut) -> Vec<u8> {
    let length = head.find("content-length").and_then(|length| length.parse::<usize>().ok());
    let limit = length.unwrap_or(MAX_BODY).min(MAX_BODY);
    let is_chunked =
        head.find("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let read = async {
        while buffer.len() < if is_chunked { MAX_BODY } else { limit } {
            if is_chunked && buffer.ends_with(b"0\r\n\r\n") {
                break;
            }
            buffer.reserve(1024);
            if stream.read_buf(buffer).await? == 0 {
                break;
            }
        }
        Ok::<_, io::Error>(())
    };
    let _ = timeout(BODY_TIMEOUT, read).await;
    if is_chunked {
        return unchunk(buffer);
    }
    buffer.truncate(limit);
    buffer.to_vec()
}

/// Decodes as many chunks as arrived (RFC 9112, section 7.1).
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let (line, after) = rest.split_at(end);
        let size = std::str::from_utf8(line).unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let Some(size) = usize::from_str_radix(size, 16).ok().filter(|size| *size > 0) else { break };
        let data = after.get(2..).unwrap_or_default();
        out.extend_from_slice(data.get(..size).unwrap_or(data));
        rest = data.get(size.saturating_add(2)..).unwrap_or_default();
    }
    out
}

/// Returns the clock difference, if it may be why the signature was rejected.
fn skew(head: &Head, rejection: &Rejection, now: SystemTime) -> Option<ClockSkew> {
    let server = DateTime::from_str(head.find("date")?, Format::HttpDate).ok()?;
    let server = SystemTime::try_from(server).ok()?;
    let skew = match now.duration_since(server) {
        Ok(ahead) => ClockSkew::Ahead(ahead),
        Err(error) => ClockSkew::Behind(error.duration()),
    };
    let is_credentials = rejection.kind() == eice_proto::handshake::RejectionKind::Credentials;
    (skew.size() > TOLERATED_SKEW && (rejection.is_about_time() || is_credentials || rejection.status == 403))
        .then_some(skew)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_chunks_are_decoded() {
        for (chunked, content) in [
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello"),
            ("5\r\nhel", "hel"),
            ("ffffffffffffffff\r\nhello", "hello"),
            ("zz\r\nhello", ""),
            ("", ""),
        ] {
            assert_eq!(unchunk(chunked.as_bytes()), content.as_bytes(), "{chunked:?}");
        }
    }
}
