//! Fault knobs, which can be changed while the emulator runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

/// The faults to inject. The default is none.
///
/// A knob applies from the next connection or call on, unless its description says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Delay of every byte of the tunnel's TCP connection, one way, in milliseconds. It applies to TLS and the
    /// upgrade as well; a round trip takes twice as long.
    pub latency_ms: u64,
    /// Additional random delay from 0 to this many milliseconds. The order of bytes is kept.
    pub jitter_ms: u64,
    /// The bandwidth in bytes per second, each way.
    pub rate: Option<u64>,
    /// A fault of the tunnel's TCP connection, before TLS.
    pub accept: Option<AcceptFault>,
    /// The tunnel's certificate.
    pub certificate: Certificate,
    /// Delay of the response to the upgrade, in milliseconds.
    pub upgrade_delay_ms: u64,
    /// A fault of the response to the upgrade.
    pub upgrade: Option<UpgradeFault>,
    /// A frame that is sent once, right after the 101.
    pub frame: Option<FrameFault>,
    /// The interval of PINGs, in milliseconds.
    pub ping_every_ms: Option<u64>,
    /// Ends the tunnel after this many bytes to the client; 0 ends it at once.
    pub close_after: Option<CloseAfter>,
    /// Ends the tunnel once its target has received at least this many bytes.
    pub close_after_up: Option<CloseAfter>,
    /// Cuts the tunnel after this many milliseconds without a byte in either direction.
    pub idle_cut_ms: Option<u64>,
    /// How an idle tunnel is cut. The default is [`CloseForm::Fin`].
    pub idle_form: CloseForm,
    /// How a tunnel ends at its maxTunnelDuration. AWS's form is unknown; the default is CLOSE 1000.
    pub duration_form: Option<CloseForm>,
    /// How a tunnel ends when its target closes the connection. AWS's form is unknown; the default is CLOSE
    /// 1000.
    pub target_end_form: Option<CloseForm>,
    /// How a tunnel ends when its target cannot be reached. The default is CLOSE 1011 `Unable to connect to
    /// target`.
    pub target_failed_form: Option<CloseForm>,
    /// The most concurrent tunnels of an endpoint, in place of the configured quota. Applies at once.
    pub quota: Option<usize>,
    /// The number of upcoming API calls that are throttled. Counts down.
    pub api_throttled: u32,
    /// The number of upcoming API calls that fail with an internal error. Counts down.
    pub api_errors: u32,
    /// API calls get no response.
    pub api_hang: bool,
    /// Delay of each API response, in milliseconds.
    pub api_delay_ms: u64,
    /// The action (`DescribeInstances`, `SendSSHPublicKey` …) that the four API knobs apply to. The default,
    /// `None`, is every action.
    pub api_action: Option<String>,
}

/// A fault of the tunnel's TCP connection, before TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AcceptFault {
    /// The connection is closed at once.
    Drop,
    /// The connection stays open; TLS gets no response.
    Hang,
}

/// The certificate that the tunnel presents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Certificate {
    /// A valid certificate.
    #[default]
    Valid,
    /// A certificate for another name.
    WrongName,
    /// An expired certificate.
    Expired,
    /// A certificate of an unknown CA.
    UnknownCa,
}

/// A fault of the response to the upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UpgradeFault {
    /// The connection is dropped before the 101.
    DropBefore,
    /// The connection is dropped after half of the 101's head.
    DropMid,
    /// The connection is dropped after the 101.
    DropAfter,
    /// There is no response.
    Hang,
    /// `Sec-WebSocket-Accept` is wrong.
    WrongAccept,
    /// `Sec-WebSocket-Accept` is missing.
    NoAccept,
    /// The 101 names an extension that was not requested.
    Extension,
    /// The 101 names a subprotocol that was not requested.
    Subprotocol,
    /// The upgrade is rejected with this response.
    Refuse(UpgradeRejection),
}

/// A response that rejects the upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpgradeRejection {
    /// The HTTP status. The default is 403.
    pub status: u16,
    /// The body, verbatim.
    pub body: String,
    /// Whether Content-Length is sent; without it the body ends with the connection. The default is true.
    pub content_length: bool,
}

impl Default for UpgradeRejection {
    fn default() -> Self {
        Self {
            status: 403,
            body: r#"{"ErrorCode":"AccessDeniedException","Message":"denied"}"#.into(),
            content_length: true,
        }
    }
}

/// A malformed or unusual frame, sent once right after the 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FrameFault {
    /// A TEXT frame.
    Text,
    /// Every data frame is split into three fragments with a PING between them. Legal; applies to the whole
    /// tunnel.
    Fragmented,
    /// A header that claims 2^40 bytes, and a few of them.
    Huge,
    /// Bytes that are no frame.
    Garbage,
    /// A masked frame, which a server must not send.
    Masked,
    /// A frame with a reserved bit set.
    Reserved,
    /// A continuation without a first frame.
    Continuation,
    /// A header that claims 100 bytes, 10 of them, then FIN.
    HalfWritten,
    /// An empty BINARY frame. Legal.
    Empty,
    /// An unsolicited PONG. Legal.
    Pong,
}

/// Ends a tunnel after a number of bytes in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloseAfter {
    /// The number of bytes.
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
    /// Returns CLOSE 1000 without a reason.
    #[must_use]
    pub fn normal() -> Self {
        Self::Close { code: 1000, reason: String::new() }
    }

    /// Returns CLOSE 1011 with AWS's reason for an unreachable target.
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

/// A fault of one API call.
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

    /// Returns the current knobs.
    #[must_use]
    pub fn snapshot(&self) -> Faults {
        self.lock().clone()
    }

    /// Sets all knobs.
    pub fn set(&self, faults: Faults) {
        *self.lock() = faults;
    }

    /// Changes some knobs.
    pub fn update(&self, turn: impl FnOnce(&mut Faults)) {
        turn(&mut self.lock());
    }

    /// Resets all knobs.
    pub fn clear(&self) {
        self.set(Faults::default());
    }

    /// Returns the delay in milliseconds and the fault of a call of `action`, and counts the fault down.
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
    fn api_knobs_count_down_for_their_action() {
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
    fn faults_parse_from_toml() {
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
