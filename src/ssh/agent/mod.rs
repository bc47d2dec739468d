//! An ssh-agent with one key, for an OpenSSH client that logs in with a key that is not in a file.
//!
//! It implements two requests of the agent protocol (draft-ietf-sshm-ssh-agent, sections 3.5 and 3.6): listing the keys
//! and signing with the key. It answers every other request with a failure: nothing is added, removed, locked or bound.

mod error;
mod path;
mod socket;

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use russh::keys::signature::Signer;
use russh::keys::ssh_key::Signature;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{EphemeralKey, Error};
pub use error::SocketError;
pub use socket::AgentSocket;

/// The maximum size of a request, in bytes. What ssh wants signed contains a session id, two names and two public keys.
const MAX_REQUEST: u32 = 64 * 1024;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Resolves when the instance knows the key; `false` if it never will.
pub type KeyKnown = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// An agent with one key.
#[derive(Clone)]
pub struct Agent {
    key: EphemeralKey,
    /// The public key in wire format.
    blob: Bytes,
    comment: String,
    known: KeyKnown,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("comment", &self.comment).finish_non_exhaustive()
    }
}

impl Agent {
    /// Creates an agent with `key`, which it lists as `comment`. It lists the key only once `known` resolves: a client
    /// that tried the key earlier would be refused and would not try it again.
    ///
    /// # Errors
    /// [`Error::KeyGeneration`] if the key cannot be encoded.
    pub fn new(key: EphemeralKey, comment: impl Into<String>, known: KeyKnown) -> Result<Self, Error> {
        let blob = key.public_bytes()?.into();
        Ok(Self { key, blob, comment: comment.into(), known })
    }

    /// Answers one client until it closes.
    ///
    /// # Errors
    /// If the client violates the protocol or its stream breaks, or if the key never becomes known: the client then sees
    /// only the end of the stream.
    pub async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        while let Some(request) = read(&mut stream).await? {
            let answer = self.answer(request).await?;
            let mut message = BytesMut::with_capacity(4 + answer.len());
            put_string(&mut message, &answer);
            stream.write_all(&message).await?;
            stream.flush().await?;
        }
        Ok(())
    }

    async fn answer(&self, mut request: Bytes) -> io::Result<BytesMut> {
        let mut answer = BytesMut::new();
        match request.try_get_u8().unwrap_or_default() {
            REQUEST_IDENTITIES => {
                if !(self.known)().await {
                    return Err(io::Error::other("the instance does not know the key"));
                }
                answer.put_u8(IDENTITIES_ANSWER);
                answer.put_u32(1);
                put_string(&mut answer, &self.blob);
                put_string(&mut answer, self.comment.as_bytes());
            }
            SIGN_REQUEST => match self.signature(&mut request) {
                Some(signature) => {
                    answer.put_u8(SIGN_RESPONSE);
                    put_string(&mut answer, &signature);
                }
                None => answer.put_u8(FAILURE),
            },
            _ => answer.put_u8(FAILURE),
        }
        Ok(answer)
    }

    /// Returns the signature that `request` asks for, if it is for our key. The flags select among RSA's algorithms;
    /// Ed25519 has only one.
    fn signature(&self, request: &mut Bytes) -> Option<BytesMut> {
        let (blob, data) = (string(request)?, string(request)?);
        if blob != self.blob {
            return None;
        }
        let signature: Signature = self.key.private().try_sign(&data).ok()?;
        let mut encoded = BytesMut::new();
        put_string(&mut encoded, signature.algorithm().as_str().as_bytes());
        put_string(&mut encoded, signature.as_bytes());
        Some(encoded)
    }
}

/// Reads the next request; `None` at the end of the stream.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let length = u32::from_be_bytes(length);
    if length == 0 || length > MAX_REQUEST {
        let text = format!("a request of {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut request = vec![0; length as usize];
    stream.read_exact(&mut request).await?;
    Ok(Some(request.into()))
}

/// Takes a string from the front of `from` (RFC 4251, section 5).
fn string(from: &mut Bytes) -> Option<Bytes> {
    let length = from.try_get_u32().ok()? as usize;
    (length <= from.remaining()).then(|| from.split_to(length))
}

/// Appends a string to `to`. Strings here have a few hundred bytes.
fn put_string(to: &mut BytesMut, string: &[u8]) {
    to.put_u32(u32::try_from(string.len()).unwrap_or(u32::MAX));
    to.put_slice(string);
}

#[cfg(test)]
mod tests;
