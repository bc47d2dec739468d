//! The gateway in this process, with one workspace.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use eice::gateway::{self, Gateway, Origin};
use eice::workspace::{BearerToken, FileDirectory};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::http::request;
use super::{LeakCheck, Viewer, World};

/// The token that opens the workspace.
pub(crate) const TOKEN: &str = "e2e-token-0123456789abcdefghijklmnopqrstuvwxyz";
/// The workspace.
pub(crate) const WORKSPACE: &str = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";

/// A gateway that serves the instance of a [`World`].
pub(crate) struct InProcessGateway {
    pub(crate) addr: SocketAddr,
    pub(crate) gateway: Gateway,
    drain: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl InProcessGateway {
    /// Serves the instance of `world`; `lines` are added to the workspace's entry.
    pub(crate) async fn start(world: &World, lines: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let origin: Origin = format!("http://{addr}").parse().unwrap();
        let directory = FileDirectory::parse(&directory(&world.target().os_user.to_string(), lines)).unwrap();
        let gateway =
            Gateway::new(gateway::Config::new(vec![origin]), Arc::new(directory), world.connector.clone());
        let (drain, drained) = oneshot::channel();
        let routes = gateway.router();
        let serving = tokio::spawn({
            let gateway = gateway.clone();
            async move { gateway.serve(listener, routes, async { drop(drained.await) }).await }
        });
        Self { addr, gateway, drain, serving }
    }

    pub(crate) async fn viewer(&self) -> Viewer {
        Viewer::open(self.addr, WORKSPACE, TOKEN).await
    }

    /// Sends a request for the workspace, with the token; returns the status and the body, which is JSON or empty.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let path = format!("/workspaces/{WORKSPACE}/{path}");
        let token = format!("Bearer {TOKEN}");
        let (status, body) = request(self.addr, method, &path, &[("authorization", &token)], body).await;
        let json = if body.is_empty() { Ok(serde_json::Value::Null) } else { serde_json::from_str(&body) };
        (status, json.unwrap_or_else(|error| panic!("{error}: {status} {body}")))
    }

    /// Counts tasks and connections without an open tab, after a first tab was opened and closed to fill caches.
    /// `backend` is the address of the instance's sshd.
    pub(crate) async fn leak_check(&self, world: &World, backend: SocketAddr) -> LeakCheck {
        let mut viewer = self.viewer().await;
        viewer.line("echo wa''rm").await;
        viewer.until("warm").await;
        viewer.leave().await;
        LeakCheck::settled(&[self.addr, backend], world.emulator.access().api_addr()).await
    }

    /// Drains it and waits for its end.
    pub(crate) async fn stop(self) {
        let _ = self.drain.send(());
        self.serving.await.unwrap().unwrap();
    }
}

/// Returns a directory file with the one workspace.
pub(crate) fn directory(os_user: &str, lines: &str) -> String {
    let digest = BearerToken::new(TOKEN).unwrap().digest();
    format!(
        "[[workspace]]\nid = {WORKSPACE:?}\nname = \"prod-agent\"\ninstance = {:?}\nos_user = {os_user:?}\n\
         {lines}\n[[token]]\nname = \"e2e\"\nsha256 = \"{digest}\"\nworkspaces = \"*\"\n",
        super::world::INSTANCE,
    )
}
