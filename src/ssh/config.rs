//! How an SSH connection is tuned.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve};
use russh::{Limits, Preferred, cipher, client, compression};

use super::link::WhyClosed;

use crate::setters::setters;

/// Ciphers, the fastest first. The implementation's own order starts with ChaCha20 and leaves AES-128-GCM out.
const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];

/// Host key algorithms. No RSA: this build cannot verify it (RUSTSEC-2023-0071).
pub(in crate::ssh) const HOST_KEY_ALGORITHMS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
];

/// The most bytes under one key (RFC 4253, section 9), and the most that the implementation takes.
const MAX_REKEY_BYTES: usize = 1 << 30;

/// How an SSH connection is tuned. [`Config::default`] is for terminals, [`Config::bulk`] for copies,
/// [`Config::forwards`] for forwarded connections.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// What the server may have in flight on one channel, in bytes. More is faster over a long way (ceiling:
    /// window / round trip), less is quicker to stop after Ctrl-C. Default 1 MiB, bulk 8 MiB.
    pub window_size: u32,
    /// The largest packet that is asked for, in bytes, at most 65535. Default 32 KiB, bulk 65535.
    pub max_packet_size: u32,
    /// Messages that wait between the connection and one channel's task. Default 8, bulk 32.
    pub channel_buffer: usize,
    /// After this much silence a keepalive is sent. Default 15 s.
    pub keepalive_interval: Duration,
    /// After this many unanswered ones the connection is taken for dead. Default 3.
    pub max_keepalives: usize,
    /// New keys are exchanged after this many bytes in either direction, at most 1 GiB, the default.
    pub rekey_bytes: usize,
    /// New keys are exchanged after this long. Default 1 h.
    pub rekey_interval: Duration,
    /// The deadlines of the stages.
    pub timeouts: Timeouts,
    /// Asked, when a connection ended, for the carrier's reason. Default: nobody is asked.
    pub why_closed: Option<WhyClosed>,
}

/// How long each stage may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// To the server's identification. Default 10 s: behind a security group that drops, nothing ever comes.
    pub banner: Duration,
    /// Key exchange and the host key's check. Default 10 s.
    pub key_exchange: Duration,
    /// For a witness to vouch for a host key that is not pinned, where nothing else counts; from the end of the key
    /// exchange on, beside which it is asked. Default 15 s.
    pub witness: Duration,
    /// The same where the key is trusted on first use without a witness. Default 250 ms: it was asked before the
    /// tunnel was dialled, so it is late only when something is wrong with it.
    pub witness_grace: Duration,
    /// Each of the two authentication steps. Default 15 s: PAM and AuthorizedKeysCommand take their time.
    pub authentication: Duration,
    /// To the channel's confirmation. Default 10 s.
    pub channel: Duration,
    /// To the answers to PTY and command. Default 10 s.
    pub shell: Duration,
    /// From a process's hang-up to its kill when a terminal is closed. Default 1 s.
    pub hangup: Duration,
    /// For the watcher to clear a container when a terminal is closed. Default 15 s.
    pub watcher: Duration,
    /// For the answer to a ping. Default 10 s.
    pub round_trip: Duration,
    /// For a connection to say goodbye. Default 2 s.
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
    /// Tuned for throughput: copies and pipes.
    #[must_use]
    pub fn bulk() -> Self {
        Self { window_size: 8 * 1024 * 1024, max_packet_size: 65_535, channel_buffer: 32, ..Self::default() }
    }

    /// Tuned for many forwarded connections: as bulk, with less in flight on each.
    #[must_use]
    pub fn forwards() -> Self {
        Self { window_size: 2 * 1024 * 1024, max_packet_size: 32 * 1024, ..Self::bulk() }
    }

    /// As the implementation takes it, with the host key algorithms that may be negotiated.
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
