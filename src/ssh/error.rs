//! What can go wrong between the first byte and the shell's.

use std::time::Duration;

use super::host_keys::{Fingerprint, HostKeyScope, StoreError, WitnessError};
use crate::model::Stage;

/// An SSH connection or channel that failed. `Display` prints one level, the cause is in `source()`.
///
/// Texts from the far side are in it as they came; escape them before they reach a terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stage's deadline passed.
    #[error("no answer within {} s", .after.as_secs_f32())]
    Timeout {
        /// The stage.
        stage: Stage,
        /// How long it was given.
        after: Duration,
    },
    /// The peer's first bytes are not those of an SSH server.
    #[error("the peer does not speak SSH; it said {said:?}")]
    NotSsh {
        /// What it said instead, its beginning.
        said: String,
    },
    /// The connection ended during `stage`.
    #[error("{}", closed_text(.reason.as_deref(), .said.as_deref()))]
    Closed {
        /// The stage.
        stage: Stage,
        /// Why, as the carrier of the connection tells it.
        reason: Option<String>,
        /// What the peer said before it closed, where that was not SSH.
        said: Option<String>,
    },
    /// The two sides have no algorithm in common.
    #[error("no {kind} algorithm in common with the server, which offers {theirs}")]
    NoCommonAlgorithm {
        /// Of what kind.
        kind: String,
        /// The server's list.
        theirs: String,
    },
    /// The server has another host key than the one that is pinned.
    #[error("the host key of {scope} has changed: pinned {}, offered {offered}", list(.pinned))]
    HostKeyChanged {
        /// Whose key.
        scope: HostKeyScope,
        /// What is pinned, never empty.
        pinned: Vec<Fingerprint>,
        /// What the server showed.
        offered: Fingerprint,
    },
    /// The server shows no host key of a kind that is pinned.
    #[error("the server no longer offers a host key of the kind that is pinned for {scope}: {}", list(.pinned))]
    HostKeyMissing {
        /// Whose key.
        scope: HostKeyScope,
        /// What is pinned.
        pinned: Vec<Fingerprint>,
    },
    /// Nothing is pinned, and the policy does not trust a first use.
    #[error("the host key of {scope} is not known: {offered}")]
    HostKeyUnknown {
        /// Whose key.
        scope: HostKeyScope,
        /// What the server showed.
        offered: Fingerprint,
    },
    /// Nothing is pinned, and what the instance tells elsewhere of its host keys says otherwise.
    #[error("the host key of {scope} is not what its console tells: it tells of {}, offered {offered}", list(.told))]
    HostKeyContradicted {
        /// Whose key.
        scope: HostKeyScope,
        /// What is told.
        told: Vec<Fingerprint>,
        /// What the server showed.
        offered: Fingerprint,
    },
    /// Nothing is pinned, and nobody could vouch for the key.
    #[error("the host key of {scope} cannot be verified: {offered}")]
    HostKeyUnverified {
        /// Whose key.
        scope: HostKeyScope,
        /// What the server showed.
        offered: Fingerprint,
        /// Why.
        source: WitnessError,
    },
    /// The store of host keys cannot be read or written.
    #[error("the store of host keys cannot be used")]
    HostKeyStore(#[source] StoreError),
    /// The server does not accept the key.
    #[error("the server does not accept the key for user {user:?}; it offers: {}", methods(.offered))]
    KeyRefused {
        /// The login name.
        user: String,
        /// The authentication methods that it would take.
        offered: Vec<String>,
    },
    /// The server opens no further session on this connection.
    #[error("the server refuses the channel: {reason}")]
    ChannelRefused {
        /// Its reason.
        reason: String,
    },
    /// The server gives no PTY.
    #[error("the server gives no PTY")]
    PtyRefused,
    /// The server does not start the shell or the command.
    #[error("the server does not start the command")]
    CommandRefused,
    /// No key pair could be made.
    #[error("no key pair can be made")]
    KeyGeneration {
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The peer broke the protocol, or the SSH implementation failed on what it sent.
    #[error("the SSH protocol failed")]
    Protocol {
        /// The stage.
        stage: Stage,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The stage that failed.
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
