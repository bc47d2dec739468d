//! Rows of the platform's `activity_logs` (docs/canvas.md, section 10).

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::super::Activity;
use super::database::Database;
use super::error::Error;

/// `agent_log` is the kind of activity that the platform's own API takes for this. No workspace is the actor, so that
/// there is neither source nor target.
const INSERT: &str = "INSERT INTO activity_logs \
     (workspace_id, activity_type, method, summary, request_body, response_body, duration_ms, status, error_detail) \
     VALUES ($1, 'agent_log', $2, $3, $4::text::jsonb, $5::text::jsonb, $6, $7, $8)";

/// What asks for something; the details of everything else are what came of it.
const OPENED: &str = "terminal.open";

/// How much of a summary and of an error is written, in characters.
const MAX_TEXT: usize = 1000;

/// Writes activities.
#[derive(Clone)]
pub(super) struct Activities {
    database: Arc<Database>,
}

impl Activities {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Writes one row.
    pub(super) fn write(self, activity: Activity) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let row = Row::from(activity);
            let ask = self.database.ask(move |connection| {
                Box::pin(async move {
                    let insert = sqlx::query(INSERT)
                        .bind(row.workspace)
                        .bind(row.method)
                        .bind(row.summary)
                        .bind(row.request)
                        .bind(row.response)
                        .bind(row.duration_ms)
                        .bind(row.status)
                        .bind(row.error);
                    insert.execute(connection).await
                })
            });
            ask.await.map(drop)
        })
    }
}

/// What is written of an activity.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    workspace: uuid::Uuid,
    method: &'static str,
    summary: String,
    /// The details of what was asked for.
    request: Option<String>,
    /// The details of what came of it.
    response: Option<String>,
    duration_ms: Option<i32>,
    status: &'static str,
    error: Option<String>,
}

impl From<Activity> for Row {
    fn from(activity: Activity) -> Self {
        // PostgreSQL's jsonb takes every character but NUL.
        let details = activity.details.to_string().replace("\\u0000", "\\ufffd");
        let (request, response) =
            if activity.method == OPENED { (Some(details), None) } else { (None, Some(details)) };
        Self {
            workspace: *activity.workspace.as_uuid(),
            method: activity.method,
            summary: text(&activity.summary),
            request,
            response,
            duration_ms: activity.took.map(|took| i32::try_from(took.as_millis()).unwrap_or(i32::MAX)),
            status: if activity.error.is_some() { "error" } else { "ok" },
            error: activity.error.as_deref().map(text),
        }
    }
}

/// `text` as a column takes it: bounded, without NUL.
fn text(text: &str) -> String {
    text.chars().take(MAX_TEXT).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::workspace::WorkspaceId;

    #[test]
    fn activity_has_request_and_response() {
        let workspace = WorkspaceId::random();
        let opened = Activity {
            workspace,
            method: "terminal.open",
            summary: "a\0b".repeat(MAX_TEXT),
            details: serde_json::json!({"who": "x\0y"}),
            took: None,
            error: None,
        };
        let closed = Activity {
            method: "terminal.close",
            took: Some(Duration::from_secs(1 << 40)),
            error: Some("it broke".into()),
            ..opened.clone()
        };
        let opened = Row::from(opened);
        assert_eq!((opened.status, opened.duration_ms, opened.response), ("ok", None, None));
        assert_eq!(opened.request.as_deref(), Some(r#"{"who":"x\ufffdy"}"#));
        assert!(opened.summary.chars().count() == MAX_TEXT && !opened.summary.contains('\0'));
        let closed = Row::from(closed);
        assert_eq!((closed.status, closed.duration_ms, closed.request), ("error", Some(i32::MAX), None));
        assert!(closed.response.is_some() && closed.error.as_deref() == Some("it broke"));
    }
}
