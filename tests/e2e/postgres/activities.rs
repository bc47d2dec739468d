//! Rows of `activity_logs`.

use std::time::Duration;

use eice::workspace::{Activity, Directory, WorkspaceId};
use serde_json::json;

use super::{add_workspace, directory, tuned};
use crate::lab::{Postgres, eventually};

const ROWS: &str = "SELECT workspace_id, activity_type, source_id, target_id, method, summary, request_body->>'who', \
     response_body->>'who', duration_ms, status, error_detail FROM activity_logs ORDER BY created_at";

fn opened(workspace: WorkspaceId) -> Activity {
    Activity {
        workspace,
        method: "terminal.open",
        summary: "ci opened a terminal".into(),
        details: json!({"who": "ci"}),
        took: None,
        error: None,
    }
}

#[tokio::test]
async fn actions_become_activity_rows() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let id = add_workspace(&database, "a", &[]);
    directory.note(opened(id)).await;
    directory
        .note(Activity {
            method: "terminal.close",
            summary: "it's over'; DROP TABLE workspaces".into(),
            took: Some(Duration::from_millis(1234)),
            error: Some("the tunnel broke".into()),
            ..opened(id)
        })
        .await;
    directory.settle().await;
    let rows = database.run(ROWS);
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(
        rows,
        [
            format!("{id}|agent_log|||terminal.open|ci opened a terminal|ci|||ok|"),
            format!(
                "{id}|agent_log|||terminal.close|it's over'; DROP TABLE workspaces||ci|1234|error|the tunnel broke"
            ),
        ]
    );
}

#[tokio::test]
async fn activity_writes_can_be_disabled() {
    let database = Postgres::shared().platform();
    let directory = tuned(&database.url(), |config| config.note_activity = false);
    directory.note(opened(add_workspace(&database, "a", &[]))).await;
    directory.settle().await;
    assert_eq!(database.run(ROWS), "");
}

#[tokio::test]
async fn failed_row_loses_only_itself() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let id = add_workspace(&database, "a", &[]);
    directory.note(opened(WorkspaceId::random())).await;
    directory.note(Activity { details: json!({"who": "a\0b"}), summary: "a\0b".into(), ..opened(id) }).await;
    directory.note(Activity { summary: "x".repeat(100_000), ..opened(id) }).await;
    directory.settle().await;
    let summaries =
        database.run("SELECT length(summary), request_body->>'who' FROM activity_logs ORDER BY 1");
    assert_eq!(summaries, "3|a\u{fffd}b\n1000|ci");
}

#[tokio::test]
async fn stalled_database_queue_is_bounded() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let id = add_workspace(&database, "a", &[]);
    // The row waits for its workspace's lock; rows beyond the queue's length are dropped immediately.
    let lock = database.lock_workspaces();
    let begun = std::time::Instant::now();
    for _ in 0..1000 {
        directory.note(opened(id)).await;
    }
    // One query to this database times out after seconds.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(lock);
    eventually("the lock is gone", || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' \
                       AND relation = 'workspaces'::regclass";
        (database.run(waiting) == "0").then_some(())
    });
    directory.settle().await;
    let written: usize = database.run("SELECT count(*) FROM activity_logs").parse().unwrap();
    assert!((200..=257).contains(&written), "{written}");
}
