//! One audit record: a flat object, the same in the log, in the file and in the platform's activities.

use std::time::SystemTime;

use eice_proto::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::workspace::{CredentialKind, WorkspaceId};

/// An audit record. Members that do not apply are omitted.
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::gateway) struct Record {
    /// The time, UTC (RFC 3339).
    pub(in crate::gateway) time: String,
    /// `terminal.request`, `terminal.open`, `terminal.close` or `denied`.
    pub(in crate::gateway) event: &'static str,
    /// The session's id, as in other logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) session: Option<Uuid>,
    /// The user's name for logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) principal: Option<String>,
    /// The kind of credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) credential: Option<&'static str>,
    /// The peer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) peer: Option<std::net::IpAddr>,
    /// The page's origin, as sent by the browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) workspace: Option<WorkspaceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) os_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) container: Option<String>,
    /// The browser protocol: `legacy` or `eicterm.v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) protocol: Option<&'static str>,
    /// The endpoint that carries the tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) endpoint: Option<String>,
    /// The request id of OpenTunnel, also in CloudTrail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) tunnel_request_id: Option<String>,
    /// The request id of SendSSHPublicKey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) key_push_request_id: Option<String>,
    /// The duration of connecting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) connect_ms: Option<u64>,
    /// The duration of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) duration_ms: Option<u64>,
    /// Bytes of input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) input_bytes: Option<u64>,
    /// Bytes of output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) output_bytes: Option<u64>,
    /// How it ended: `session::Outcome`'s names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) end: Option<&'static str>,
    /// The shell's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) exit_code: Option<u32>,
    /// The signal that ended the shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) exit_signal: Option<String>,
    /// The close code sent to the browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) close_code: Option<u16>,
    /// The failed stage of connecting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) stage: Option<&'static str>,
    /// The fault of that stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) fault: Option<&'static str>,
    /// The error message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) error: Option<String>,
    /// The reason of the denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) method: Option<String>,
    /// The route's pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) status: Option<u16>,
}

impl Record {
    /// Returns a record of `event` with the current time.
    pub(in crate::gateway) fn now(event: &'static str) -> Self {
        Self { time: Timestamp::from(SystemTime::now()).rfc3339(), event, ..Self::default() }
    }

    /// Writes the record to the log.
    pub(super) fn log(&self) {
        tracing::info!(
            target: "eice::audit",
            event = self.event,
            session = self.session.map(tracing::field::display),
            principal = self.principal,
            credential = self.credential,
            peer = self.peer.map(tracing::field::display),
            origin = self.origin,
            workspace = self.workspace.map(tracing::field::display),
            instance = self.instance,
            os_user = self.os_user,
            container = self.container,
            protocol = self.protocol,
            endpoint = self.endpoint,
            tunnel_request_id = self.tunnel_request_id,
            key_push_request_id = self.key_push_request_id,
            connect_ms = self.connect_ms,
            duration_ms = self.duration_ms,
            input_bytes = self.input_bytes,
            output_bytes = self.output_bytes,
            end = self.end,
            exit_code = self.exit_code,
            exit_signal = self.exit_signal,
            close_code = self.close_code,
            stage = self.stage,
            fault = self.fault,
            error = self.error,
            reason = self.reason,
            method = self.method,
            route = self.route,
            status = self.status,
        );
    }

    /// Returns the record as a line of JSON.
    pub(super) fn line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The name of a kind of credential in records; the platform's own names where they exist (docs/canvas.md, section 10).
pub(in crate::gateway) fn credential(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Admin => "admin-token",
        CredentialKind::Organization => "org-token",
        CredentialKind::Workspace => "workspace-token",
        CredentialKind::Member => "session",
        CredentialKind::Development => "development",
    }
}
