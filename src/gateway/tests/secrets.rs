//! Nothing that opens anything, and nothing that is typed, reaches a log.

use std::io::Write;
use std::sync::Mutex;

use futures_util::SinkExt as _;

use super::*;
use crate::gateway::control_plane::script::{Plane, Reply};

/// A log in memory.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Writes what this thread logs until the guard is dropped; the runtime of a test runs everything on it.
    pub(super) fn capture(&self) -> impl Sized {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        // While there is one subscriber only, whether an event is wanted is asked of the thread that first comes to it,
        // and the other tests' threads want none.
        let another = tracing::Dispatch::new(tracing_subscriber::registry());
        (tracing::subscriber::set_default(subscriber), another)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_are_not_logged() {
    let log = Log::default();
    let _guard = log.capture();

    // printf %s canary-token | sha256sum
    let text = format!(
        "[[workspace]]\nid = \"{MINE}\"\nname = \"a\"\ninstance = \"i-1\"\n[[token]]\nname = \"ci\"\n\
         sha256 = \"{}\"\nworkspaces = \"*\"\n",
        BearerToken::new("canary-token").unwrap().digest()
    );
    let directory = Arc::new(FileDirectory::parse(&text).unwrap());
    let plane = Plane::start(Reply::member("u_1")).await;
    let configure = |config: &mut Config| {
        config.platform.admin_token = BearerToken::new("canary-admin").map(|token| token.digest());
        config.platform.control_plane = Some(plane.config("acme"));
        config.recheck_interval = std::time::Duration::from_millis(5);
    };
    let server = Server::with(script(Mode::Open), directory, configure, |_| Router::new()).await;
    server.http("GET /workspaces", &[("Authorization", "Bearer canary-admin")]).await;
    let session = [("Cookie", "wos=canary-session"), ("Origin", ORIGIN)];
    let path = format!("/workspaces/{MINE}/terminal");
    let issued =
        server.http(&format!("POST {path}/ticket"), &[session[0], session[1], ("Content-Length", "0")]).await;
    let ticket = issued.json()["ticket"].as_str().unwrap().to_owned();
    let offers = format!("eicterm.v1, ticket.{ticket}");
    let by_ticket = server.socket(&path, &[session[1], ("Sec-WebSocket-Protocol", &offers)]).await.unwrap();
    plane.reply(Reply::Says(500, "canary-outage".into()));
    server.http("GET /workspaces", &[("Cookie", "wos=canary-stranger"), ("Origin", ORIGIN)]).await;
    plane.reply(Reply::stranger());
    timeout(SOON, async {
        while server.gateway.state.sessions.list().iter().any(|session| session.age < SOON) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the member's terminal stayed");
    drop(by_ticket);
    let bearer = ("Authorization", "Bearer canary-token");
    let answer = server.http("POST /auth/session", &[bearer, ("Origin", ORIGIN)]).await;
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    server.http("GET /workspaces?token=canary-query", &[("Authorization", "Bearer canary-wrong")]).await;
    server.http("GET /canary-path%1b[2J", &[]).await;
    let path = format!("/workspaces/{MINE}/terminal?token=canary-query");
    let mut socket = server.socket(&path, &[("Cookie", &cookie), ("Origin", ORIGIN)]).await.unwrap();
    socket.send(Message::text("canary-keys\r")).await.unwrap();
    server.script.say(b"canary-output");
    server.script.until("input", |seen| !seen.written.is_empty()).await;
    server.script.exit(0);
    assert_eq!(read_to_close(&mut socket).await.0, b"canary-output");
    server.idle().await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // What should be there is: the log was really written to.
    for present in
        ["session ended", "/auth/session", MINE, "canary-path", "access was revoked", "control plane outage"]
    {
        assert!(log.contains(present), "{present} is not in {log}");
    }
    let id = cookie.split('=').nth(1).unwrap();
    let ours = log.lines().filter(|line| line.contains("eice"));
    for line in ours {
        for secret in ["canary-token", "canary-query", "canary-wrong", "canary-keys", "canary-output", id] {
            assert!(!line.contains(secret), "{secret} is in {line}");
        }
    }
    // Nor do the libraries that ask the control plane tell what they carry.
    for secret in ["canary-admin", "canary-session", "canary-stranger", "canary-outage", &ticket] {
        let line = log.lines().find(|line| line.contains(secret) && !line.contains("tungstenite"));
        assert!(line.is_none(), "{secret} is in {line:?}");
    }
    assert!(!log.contains('\u{1b}'), "a path must not drive the terminal that shows the log");
}
