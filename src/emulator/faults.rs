//! Fault knobs: each can be turned while the emulator runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

/// What goes wrong. The default is nothing.
///
/// A knob counts from the next connection or call on, unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Delay of every byte of the tunnel's TCP connection, one way, in milliseconds; TLS and the upgrade pay
    /// it as well, so that a round trip costs twice as much.
    pub latency_ms: u64,
    /// Random delay of 0 to so many milliseconds more. Bytes keep their order.
    pub jitter_ms: u64,
    /// Bytes a second, each way.
    pub rate: Option<u64>,
    /// The tunnel's TCP connection, before TLS.
    pub accept: Option<AcceptFault>,
    /// The tunnel's certificate.
    pub certificate: Certificate,
    /// Delay of the answer to the upgrade, in milliseconds.
    pub upgrade_delay_ms: u64,
    /// The answer to the upgrade.
    pub upgrade: Option<UpgradeFault>,
    /// Sent once, right after the 101.
    pub frame: Option<FrameFault>,
    /// A PING every so many milliseconds.
    pub ping_every_ms: Option<u64>,
    /// The tunnel ends after so many bytes towards the client; 0 means at once.
    pub close_after: Option<CloseAfter>,
    /// The tunnel ends once its target has had so many bytes, or a few more.
    pub close_after_up: Option<CloseAfter>,
    /// The tunnel is cut after so many milliseconds without a byte either way.
    pub idle_cut_ms: Option<u64>,
    /// How an idle tunnel is cut. The default is [`CloseForm::Fin`].
    pub idle_form: CloseForm,
    /// How a tunnel ends at its maxTunnelDuration. The form on AWS's wire is not known; the default is CLOSE
    /// 1000.
    pub duration_form: Option<CloseForm>,
    /// How a tunnel ends when its target ends the connection. The form on AWS's wire is not known; the default
    /// is CLOSE 1000.
    pub target_end_form: Option<CloseForm>,
    /// How a tunnel ends when its target cannot be reached. The default is CLOSE 1011 `Unable to connect to
    /// target`.
    pub target_failed_form: Option<CloseForm>,
    /// How many tunnels an endpoint carries, in place of the configured quota. Counts at once.
    pub quota: Option<usize>,
    /// How many of the next API calls are throttled. Counts down.
    pub api_throttled: u32,
    /// How many of the next API calls answer with an internal error. Counts down.
    pub api_errors: u32,
    /// API calls never answer.
    pub api_hang: bool,
    /// Delay of each API answer, in milliseconds.
    pub api_delay_ms: u64,
    /// The action (`DescribeInstances`, `SendSSHPublicKey` …) that the four API knobs are about. The default,
    /// `None`, is every action.
    pub api_action: Option<String>,
}

/// A fault of the tunnel's TCP connection, before TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AcceptFault {
    /// Closed at once.
    Drop,
    /// Kept open; TLS is never answered.
    Hang,
}

/// Which certificate the tunnel shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Certificate {
    /// The right one.
    #[default]
    Valid,
    /// One for another name.
    WrongName,
    /// One that expired.
    Expired,
    /// One of a CA that nobody knows.
    UnknownCa,
}

/// A fault of the answer to the upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UpgradeFault {
    /// The connection is dropped before the 101.
    DropBefore,
    /// Half of the 101's head is sent, then the connection is dropped.
    DropMid,
    /// The connection is dropped after the 101.
    DropAfter,
    /// No answer ever comes.
    Hang,
    /// `Sec-WebSocket-Accept` is wrong.
    WrongAccept,
    /// `Sec-WebSocket-Accept` is missing.
    NoAccept,
    /// The 101 names an extension that nobody asked for.
    Extension,
    /// The 101 names a subprotocol that nobody asked for.
    Subprotocol,
    /// Refused, with this answer.
    Refuse(Refusal),
}

/// An answer that refuses the upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refusal {
    /// The HTTP status. The default is 403.
    pub status: u16,
    /// The body as it stands.
    pub body: String,
    /// Whether Content-Length is sent; without it the body ends with the connection. The default is true.
    pub content_length: bool,
}

impl Default for Refusal {
    fn default() -> Self {
        Self {
            status: 403,
            body: r#"{"ErrorCode":"AccessDeniedException","Message":"denied"}"#.into(),
            content_length: true,
        }
    }
}

/// Something odd, sent once right after the 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FrameFault {
    /// A TEXT frame.
    Text,
    /// Every data frame is cut in three fragments with a PING between them. Lawful; lasts.
    Fragmented,
    /// A header that claims 2^40 bytes, and a few of them.
    Huge,
    /// Bytes that are no frame.
    Garbage,
    /// A masked frame, which a server must not send.
    Masked,
    /// A frame with a reserved bit set.
    Reserved,
    /// A continuation of nothing.
    Continuation,
    /// A header that claims 100 bytes, 10 of them, then FIN.
    HalfWritten,
    /// An empty BINARY frame. Lawful.
    Empty,
    /// An unasked-for PONG. Lawful.
    Pong,
}

/// A tunnel that ends after so many bytes, one way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloseAfter {
    /// So many.
    pub bytes: u64,
    /// How it ends.
    pub form: CloseForm,
}

/// How a tunnel ends on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CloseForm {
    /// TCP's FIN, without CLOSE and without TLS's close_notify.
    #[default]
    Fin,
    /// TCP's RST.
    Rst,
    /// CLOSE without a payload.
    Empty,
    /// CLOSE with a code and a reason.
    Close {
        /// The code.
        code: u16,
        /// The reason, at most 123 bytes.
        reason: String,
    },
}

impl CloseForm {
    /// CLOSE 1000 without a reason.
    #[must_use]
    pub fn normal() -> Self {
        Self::Close { code: 1000, reason: String::new() }
    }

    /// CLOSE 1011 with the reason that AWS gives when the target does not answer.
    #[must_use]
    pub fn target_failed() -> Self {
        Self::Close { code: 1011, reason: "Unable to connect to target".into() }
    }
}

/// The knobs of a running emulator.
#[derive(Clone, Debug, Default)]
pub struct FaultsHandle {
    faults: Arc<Mutex<Faults>>,
}

/// What the API knobs ask of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiFault {
    Throttled,
    Error,
    Hang,
}

impl FaultsHandle {
    pub(super) fn new(faults: Faults) -> Self {
        Self { faults: Arc::new(Mutex::new(faults)) }
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The knobs as they stand.
    #[must_use]
    pub fn snapshot(&self) -> Faults {
        self.lock().clone()
    }

    /// Turns all knobs at once.
    pub fn set(&self, faults: Faults) {
        *self.lock() = faults;
    }

    /// Turns some knobs.
    pub fn update(&self, turn: impl FnOnce(&mut Faults)) {
        turn(&mut self.lock());
    }

    /// Turns all knobs off.
    pub fn clear(&self) {
        self.set(Faults::default());
    }

    /// The fault of a call of `action`, counted down, and its delay in milliseconds.
    pub(super) fn api(&self, action: &str) -> (u64, Option<ApiFault>) {
        let mut faults = self.lock();
        if faults.api_action.as_deref().is_some_and(|only| only != action) {
            return (0, None);
        }
        let fault = if faults.api_hang {
            Some(ApiFault::Hang)
        } else if faults.api_throttled > 0 {
            faults.api_throttled -= 1;
            Some(ApiFault::Throttled)
        } else if faults.api_errors > 0 {
            faults.api_errors -= 1;
            Some(ApiFault::Error)
        } else {
            None
        };
        (faults.api_delay_ms, fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_knobs_count_down_and_keep_to_their_action() {
        let handle = FaultsHandle::new(Faults {
            api_throttled: 2,
            api_action: Some("DescribeInstances".into()),
            ..Faults::default()
        });
        assert_eq!(handle.api("SendSSHPublicKey").1, None);
        assert_eq!(handle.api("DescribeInstances").1, Some(ApiFault::Throttled));
        assert_eq!(handle.api("DescribeInstances").1, Some(ApiFault::Throttled));
        assert_eq!(handle.api("DescribeInstances").1, None);
    }

    #[test]
    fn each_knob_can_be_written_in_a_file() {
        let faults: Faults = toml::from_str(
            r#"
            certificate = "expired"
            upgrade = { refuse = { status = 429, body = "x" } }
            frame = "text"
            close_after = { bytes = 10, form = { close = { code = 1001, reason = "bye" } } }
            duration_form = "rst"
            "#,
        )
        .unwrap();
        assert_eq!(faults.certificate, Certificate::Expired);
        assert_eq!(faults.duration_form, Some(CloseForm::Rst));
        assert!(matches!(faults.upgrade, Some(UpgradeFault::Refuse(refusal)) if refusal.status == 429));
    }
}
