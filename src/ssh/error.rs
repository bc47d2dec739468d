//! The errors of an SSH connection, from the first byte to the shell.

use std::time::Duration;

use super::host_keys::{Fingerprint, HostKeyScope, StoreError, WitnessError};
use crate::model::Stage;

/// An SSH connection or channel that failed. `Display` prints one level; the cause is in `source()`.
///
/// It contains texts from the remote as they arrived; escape them before they reach a terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stage timed out.
    #[error("no answer within {} s", .after.as_secs_f32())]
    Timeout {
        /// The stage.
        stage: Stage,
        /// The timeout.
        after: Duration,
    },
    /// The peer's first bytes are not an SSH identification.
    #[error("the peer does not speak SSH; it said {said:?}")]
    NotSsh {
        /// The beginning of what it sent instead.
        said: String,
    },
    /// The connection ended during `stage`.
    #[error("{}", closed_text(.reason.as_deref(), .said.as_deref()))]
    Closed {
        /// The stage.
        stage: Stage,
        /// The reason, as the connection's transport reports it.
        reason: Option<String>,
        /// What the peer sent before it closed, if that was not SSH.
        said: Option<String>,
    },
    /// The two sides have no algorithm in common.
    #[error("no {kind} algorithm in common with the server, which offers {theirs}")]
    NoCommonAlgorithm {
        /// The kind of algorithm.
        kind: String,
        /// The server's list.
        theirs: String,
    },
    /// The server's host key differs from the pinned one.
    #[error("the host key of {scope} has changed: pinned {}, offered {offered}", list(.pinned))]
    HostKeyChanged {
        /// The instance.
        scope: HostKeyScope,
        /// The pinned keys, never empty.
        pinned: Vec<Fingerprint>,
        /// The server's key.
        offered: Fingerprint,
    },
    /// The server has no host key of a pinned algorithm.
    #[error("the server no longer offers a host key of the kind that is pinned for {scope}: {}", list(.pinned))]
    HostKeyMissing {
        /// The instance.
        scope: HostKeyScope,
        /// The pinned keys.
        pinned: Vec<Fingerprint>,
    },
    /// No key is pinned, and the policy does not trust on first use.
    #[error("the host key of {scope} is unknown: {offered}")]
    HostKeyUnknown {
        /// The instance.
        scope: HostKeyScope,
        /// The server's key.
        offered: Fingerprint,
    },
    /// No key is pinned, and the instance's console shows other host keys.
    #[error("the host key of {scope} is not on its console: the console shows {}, offered {offered}", list(.console))]
    HostKeyContradicted {
        /// The instance.
        scope: HostKeyScope,
        /// The keys on the console.
        console: Vec<Fingerprint>,
        /// The server's key.
        offered: Fingerprint,
    },
    /// No key is pinned, and no witness could verify the key.
    #[error("the host key of {scope} cannot be verified: {offered}")]
    HostKeyUnverified {
        /// The instance.
        scope: HostKeyScope,
        /// The server's key.
        offered: Fingerprint,
        /// The reason.
        source: WitnessError,
    },
    /// The host key store cannot be read or written.
    #[error("the store of host keys cannot be used")]
    HostKeyStore(#[source] StoreError),
    /// The server rejected the key.
    #[error("the server does not accept the key for user {user:?}; it offers: {}", methods(.offered))]
    KeyRefused {
        /// The user name.
        user: String,
        /// The authentication methods that the server offers.
        offered: Vec<String>,
    },
    /// The server refused a channel on this connection.
    #[error("the server refuses the channel: {reason}")]
    ChannelRefused {
        /// The server's reason.
        reason: String,
    },
    /// The server refused a PTY.
    #[error("the server gives no PTY")]
    PtyRefused,
    /// The server did not start the shell or the command.
    #[error("the server does not start the command")]
    CommandRefused,
    /// A key pair could not be generated.
    #[error("no key pair can be made")]
    KeyGeneration {
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The peer violated the protocol, or the SSH implementation failed on its messages.
    #[error("the SSH protocol failed")]
    Protocol {
        /// The stage.
        stage: Stage,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Returns the stage that failed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Timeout { stage, .. } | Self::Closed { stage, .. } | Self::Protocol { stage, .. } => *stage,
            Self::NotSsh { .. } => Stage::Banner,
            Self::NoCommonAlgorithm { .. }
            | Self::HostKeyChanged { .. }
            | Self::HostKeyMissing { .. }
            | Self::HostKeyUnknown { .. }
            | Self::HostKeyContradicted { .. }
            | Self::HostKeyUnverified { .. }
            | Self::HostKeyStore(_) => Stage::KeyExchange,
            Self::KeyRefused { .. } => Stage::Authentication,
            Self::ChannelRefused { .. } => Stage::Channel,
            Self::PtyRefused | Self::CommandRefused => Stage::Shell,
            Self::KeyGeneration { .. } => Stage::KeyPush,
        }
    }
}

fn closed_text(reason: Option<&str>, said: Option<&str>) -> String {
    let mut text = String::from("the connection was closed");
    if let Some(said) = said {
        text.push_str(&format!(" after {said:?}"));
    }
    if let Some(reason) = reason {
        text.push_str(&format!(" ({reason})"));
    }
    text
}

fn list(fingerprints: &[Fingerprint]) -> String {
    fingerprints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn methods(offered: &[String]) -> String {
    if offered.is_empty() { "nothing".into() } else { offered.join(", ") }
}
