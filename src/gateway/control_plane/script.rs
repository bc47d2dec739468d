//! A control plane with scripted replies, over a real socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{COOKIE, LOCATION, USER_AGENT};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::gateway::ControlPlane;

/// The reply to every query.
#[derive(Clone)]
pub(in crate::gateway) enum Reply {
    Says(u16, String),
    Redirects(String),
    /// No reply until the script changes.
    Hangs,
}

impl Reply {
    /// Replies that the session belongs to the member `user`.
    pub(in crate::gateway) fn member(user: &str) -> Self {
        Self::Says(200, serde_json::json!({"member": true, "user_id": user, "role": "owner"}).to_string())
    }

    /// Replies that the session belongs to no member.
    pub(in crate::gateway) fn stranger() -> Self {
        Self::Says(200, r#"{"member":false}"#.into())
    }
}

/// A query as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway) struct Question {
    pub(in crate::gateway) uri: String,
    pub(in crate::gateway) cookie: String,
    pub(in crate::gateway) agent: String,
}

pub(in crate::gateway) struct Plane {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    reply: watch::Sender<Reply>,
    seen: Mutex<Vec<Question>>,
}

impl Plane {
    pub(in crate::gateway) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { reply: watch::channel(reply).0, seen: Mutex::default() });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, shared, task }
    }

    pub(in crate::gateway) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the gateway's setting for this control plane.
    pub(in crate::gateway) fn config(&self, slug: &str) -> ControlPlane {
        ControlPlane::new(&self.url(), slug).unwrap()
    }

    pub(in crate::gateway) fn reply(&self, reply: Reply) {
        self.shared.reply.send_replace(reply);
    }

    pub(in crate::gateway) fn seen(&self) -> Vec<Question> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Stops the server, as a crash does: its port refuses connections.
    pub(in crate::gateway) async fn stop(self) -> ControlPlane {
        let config = self.config("acme");
        self.task.abort();
        // Wait until the listener is dropped.
        while tokio::net::TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        config
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let text = |name: HeaderName| {
        let values = parts.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(" | ")
    };
    let question = Question { uri: parts.uri.to_string(), cookie: text(COOKIE), agent: text(USER_AGENT) };
    shared.seen.lock().unwrap().push(question);
    let mut reply = shared.reply.subscribe();
    let reply = reply.wait_for(|reply| !matches!(reply, Reply::Hangs)).await.unwrap().clone();
    match reply {
        Reply::Says(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Reply::Redirects(to) => (StatusCode::FOUND, [(LOCATION, to)]).into_response(),
        Reply::Hangs => unreachable!(),
    }
}
