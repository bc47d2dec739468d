//! The settings of an SSH connection.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve};
use russh::{Limits, Preferred, cipher, client, compression};

use crate::setters::setters;

/// Returns why the transport closed an ended connection; `None` if that is unknown.
pub type WhyClosed = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The ciphers, fastest first. The implementation's own order starts with ChaCha20 and omits AES-128-GCM.
const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];

/// The host key algorithms. No RSA: this build cannot verify it (RUSTSEC-2023-0071).
pub(in crate::ssh) const HOST_KEY_ALGORITHMS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
];

/// The maximum number of bytes per key (RFC 4253, section 9), which is also the implementation's limit.
const MAX_REKEY_BYTES: usize = 1 << 30;

/// The settings of an SSH connection. [`Config::default`] is for terminals, [`Config::bulk`] for copies,
/// [`Config::forwards`] for forwarded connections.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The receive window of a channel, in bytes. A larger one is faster over a long distance (limit: window / round
    /// trip), a smaller one stops sooner after Ctrl-C. Default 1 MiB, bulk 8 MiB.
    pub window_size: u32,
    /// The maximum packet size, in bytes, at most 65535. Default 32 KiB, bulk 65535.
    pub max_packet_size: u32,
    /// The queue between the connection and a channel's task, in messages. Default 8, bulk 32.
    pub channel_buffer: usize,
    /// A keepalive is sent after this much silence. Default 15 s.
    pub keepalive_interval: Duration,
    /// The connection is considered dead after this many unanswered keepalives. Default 3.
    pub max_keepalives: usize,
    /// Keys are renewed after this many bytes in either direction, at most 1 GiB, the default.
    pub rekey_bytes: usize,
    /// Keys are renewed after this time. Default 1 h.
    pub rekey_interval: Duration,
    /// The timeouts of the stages.
    pub timeouts: Timeouts,
    /// Returns the transport's reason when a connection ended. Default `None`.
    pub why_closed: Option<WhyClosed>,
}

/// The timeout of each stage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until the server's identification. Default 10 s: a security group that drops packets never answers.
    pub banner: Duration,
    /// Key exchange and the host key's check. Default 10 s.
    pub key_exchange: Duration,
    /// For a witness to verify a host key that is not pinned, if nothing else decides; counted from the end of the
    /// key exchange, during which the witness is already asked. Default 15 s.
    pub witness: Duration,
    /// The same for trust on first use, which also works without a witness. Default 250 ms: the request is sent before
    /// the tunnel is dialed, so a late answer means a problem.
    pub witness_grace: Duration,
    /// Each of the two authentication steps. Default 15 s: PAM and AuthorizedKeysCommand can be slow.
    pub authentication: Duration,
    /// Until the channel is confirmed. Default 10 s.
    pub channel: Duration,
    /// Until the answers to PTY and command. Default 10 s.
    pub shell: Duration,
    /// From the hang-up of a process to its kill when a terminal is closed. Default 1 s.
    pub hangup: Duration,
    /// For the watcher to clean up a container when a terminal is closed. Default 15 s.
    pub watcher: Duration,
    /// For the answer to a ping. Default 10 s.
    pub round_trip: Duration,
    /// For the disconnect message of a connection. Default 2 s.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            banner: Duration::from_secs(10),
            key_exchange: Duration::from_secs(10),
            witness: Duration::from_secs(15),
            witness_grace: Duration::from_millis(250),
            authentication: Duration::from_secs(15),
            channel: Duration::from_secs(10),
            shell: Duration::from_secs(10),
            hangup: Duration::from_secs(1),
            watcher: Duration::from_secs(15),
            round_trip: Duration::from_secs(10),
            close: Duration::from_secs(2),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window_size: 1024 * 1024,
            max_packet_size: 32 * 1024,
            channel_buffer: 8,
            keepalive_interval: Duration::from_secs(15),
            max_keepalives: 3,
            rekey_bytes: MAX_REKEY_BYTES,
            rekey_interval: Duration::from_secs(3600),
            timeouts: Timeouts::default(),
            why_closed: None,
        }
    }
}

impl Config {
    /// Returns settings tuned for throughput: copies and pipes.
    #[must_use]
    pub fn bulk() -> Self {
        Self { window_size: 8 * 1024 * 1024, max_packet_size: 65_535, channel_buffer: 32, ..Self::default() }
    }

    /// Returns settings for many forwarded connections: like bulk, with smaller windows.
    #[must_use]
    pub fn forwards() -> Self {
        Self { window_size: 2 * 1024 * 1024, max_packet_size: 32 * 1024, ..Self::bulk() }
    }

    /// Converts to the implementation's settings, with the host key algorithms to negotiate.
    pub(super) fn client(&self, host_keys: Vec<Algorithm>) -> client::Config {
        let rekey_bytes = self.rekey_bytes.clamp(1, MAX_REKEY_BYTES);
        client::Config {
            limits: Limits {
                rekey_write_limit: rekey_bytes,
                rekey_read_limit: rekey_bytes,
                rekey_time_limit: self.rekey_interval,
            },
            window_size: self.window_size,
            maximum_packet_size: self.max_packet_size.min(65_535),
            channel_buffer_size: self.channel_buffer.max(1),
            preferred: Preferred {
                key: Cow::Owned(host_keys),
                cipher: Cow::Borrowed(CIPHERS),
                compression: Cow::Borrowed(&[compression::NONE]),
                ..Preferred::default()
            },
            keepalive_interval: Some(self.keepalive_interval),
            keepalive_max: self.max_keepalives,
            ..client::Config::default()
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("window_size", &self.window_size)
            .field("max_packet_size", &self.max_packet_size)
            .field("channel_buffer", &self.channel_buffer)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

setters! {
    Config {
        window_size: u32,
        max_packet_size: u32,
        channel_buffer: usize,
        keepalive_interval: Duration,
        max_keepalives: usize,
        rekey_bytes: usize,
        rekey_interval: Duration,
        timeouts: Timeouts,
        why_closed: Option<WhyClosed>,
    }
}

setters! {
    Timeouts {
        banner: Duration,
        key_exchange: Duration,
        witness: Duration,
        witness_grace: Duration,
        authentication: Duration,
        channel: Duration,
        shell: Duration,
        hangup: Duration,
        watcher: Duration,
        round_trip: Duration,
        close: Duration,
    }
}
