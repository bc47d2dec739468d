//! Readiness probes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::workspace::{Health, PlatformVersion};

/// A directory that can be taken down, and counts how often it is asked whether it is up.
#[derive(Default)]
struct Switched {
    is_down: std::sync::atomic::AtomicBool,
    asked: AtomicUsize,
    hangs: bool,
    health: Health,
}

impl Directory for Switched {
    always!(ready(Ok(Default::default())));
    fn check(&self) -> BoxFuture<'_, Result<Health, DirectoryError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.hangs {
            return Box::pin(std::future::pending());
        }
        let down = self.is_down.load(Ordering::Relaxed);
        let answer = if down {
            Err(DirectoryError::new("password for db.internal is wrong"))
        } else {
            Ok(self.health.clone())
        };
        Box::pin(ready(answer))
    }
}

#[tokio::test]
async fn ready_follows_the_directory() {
    let directory = Arc::new(Switched::default());
    let server = Server::with(
        script(Mode::Open),
        directory.clone(),
        |config| config.rate_limit = u32::MAX,
        |_| Router::new(),
    )
    .await;
    for headers in [&[][..], &[("Host", "10.0.0.7:8080")], &[("Origin", "https://evil.test")]] {
        let answer = server.http("GET /ready", headers).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"status": "ready"})), "{headers:?}");
    }
    assert_eq!(directory.asked.load(Ordering::Relaxed), 1, "a probe that anybody may send is no burden");

    directory.is_down.store(true, Ordering::Relaxed);
    let down = until(&server, 503).await;
    assert_eq!(down.json(), json!({"status": "not ready", "reasons": ["directory"]}));
    assert_eq!(down.header("retry-after"), "2");
    assert_eq!(server.http("GET /health", &[]).await.status, 200, "it lives all the same");

    directory.is_down.store(false, Ordering::Relaxed);
    until(&server, 200).await;
}

#[tokio::test]
async fn ready_names_the_platform_and_warnings() {
    let platform = Some(PlatformVersion::April2026);
    let health = Health { platform, warnings: vec!["newer-schema"] };
    let directory = Arc::new(Switched { health, ..Switched::default() });
    let server = Server::with(script(Mode::Open), directory, |_| {}, |_| Router::new()).await;
    let answer = server.http("GET /ready", &[]).await;
    let body = json!({"status": "ready", "platform": "2026-04", "warnings": ["newer-schema"]});
    assert_eq!((answer.status, answer.json()), (200, body));
}

/// The answer once it has `status`: what was said last is believed for a moment.
async fn until(server: &Server, status: u16) -> Answer {
    let changed = async {
        loop {
            let answer = server.http("GET /ready", &[]).await;
            if answer.status == status {
                return answer;
            }
        }
    };
    timeout(SOON, changed).await.unwrap()
}

#[tokio::test]
async fn slow_directory_is_not_ready() {
    let directory = Arc::new(Switched { hangs: true, ..Switched::default() });
    let configure = |config: &mut Config| config.directory_timeout = Duration::from_millis(20);
    let server = Server::with(script(Mode::Open), directory, configure, |_| Router::new()).await;
    let answer = server.http("GET /ready", &[]).await;
    assert_eq!((answer.status, &answer.json()["reasons"]), (503, &json!(["directory"])));
}

#[tokio::test]
async fn it_is_not_ready_while_it_drains() {
    let (server, socket) = Server::held_in_draining().await;
    let answer = server.http("GET /ready", &[]).await;
    assert_eq!(
        (answer.status, answer.json()),
        (503, json!({"status": "not ready", "reasons": ["draining"]}))
    );
    drop(socket);
}
