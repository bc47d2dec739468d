//! The client with OpenSSH's server and with peers that fail on purpose.

mod faults;
mod forward;
mod real;
mod scripted;
mod sshd;
mod traps;
mod witness;

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use super::host_keys::MemoryHostKeys;
use super::{
    ChannelRequest, Config, Connection, EphemeralKey, Error, HostKeyCheck, HostKeyPolicy, HostKeyScope, Pty,
    handshake,
};
use crate::model::{Exit, Output, Size, Stage, StageEvent, StageState, TerminalEvent};

fn scope() -> HostKeyScope {
    HostKeyScope::new("aws", "123456789012", "eu-west-1", &"i-1".parse().unwrap())
}

fn tofu(keys: &Arc<MemoryHostKeys>) -> HostKeyCheck {
    HostKeyCheck::pinned(scope(), keys.clone(), HostKeyPolicy::TrustOnFirstUse)
}

fn ignore(_: StageEvent) {}

async fn connect<S>(stream: S, key: &EphemeralKey, config: &Config) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let check = HostKeyCheck::danger_accept_any();
    let user = "root".parse().unwrap();
    handshake(stream, config, check, &user, &ignore).await?.authenticate(key.clone(), &ignore).await
}

fn command(line: &str) -> ChannelRequest {
    ChannelRequest { command: Some(line.into()), ..ChannelRequest::default() }
}

fn on_pty(line: &str) -> ChannelRequest {
    ChannelRequest {
        pty: Some(Pty { term: "xterm-256color".into(), size: Size::default() }),
        ..command(line)
    }
}

/// Reads to the end and returns stdout, stderr and the exit.
async fn read_all(output: &mut dyn Output) -> (Bytes, Bytes, std::io::Result<Exit>) {
    let (mut stdout, mut stderr) = (BytesMut::new(), BytesMut::new());
    loop {
        match output.next().await.expect("an exit or an error comes last") {
            Ok(TerminalEvent::Output(bytes)) => stdout.extend_from_slice(&bytes),
            Ok(TerminalEvent::Stderr(bytes)) => stderr.extend_from_slice(&bytes),
            Ok(TerminalEvent::Exit(exit)) => {
                assert!(output.next().await.is_none());
                return (stdout.freeze(), stderr.freeze(), Ok(exit));
            }
            Err(error) => return (stdout.freeze(), stderr.freeze(), Err(error)),
        }
    }
}

/// Reads until `text` has arrived.
async fn read_until(output: &mut dyn Output, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        match output.next().await {
            Some(Ok(TerminalEvent::Output(bytes))) => seen.push_str(&String::from_utf8_lossy(&bytes)),
            other => panic!("{other:?} after {seen:?}"),
        }
    }
    seen
}

/// Records the stages.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Stage, &'static str)>>>);

impl Log {
    fn observer(&self) -> impl Fn(StageEvent) + Send + Sync + use<> {
        let log = self.0.clone();
        move |event: StageEvent| {
            let what = match event.state {
                StageState::Started => "started",
                StageState::Passed(_) => "passed",
                StageState::Failed(_) => "failed",
            };
            log.lock().unwrap().push((event.stage, what));
        }
    }

    fn has_started(&self, stage: Stage) -> bool {
        self.0.lock().unwrap().contains(&(stage, "started"))
    }

    fn ended(&self) -> Vec<(Stage, &'static str)> {
        self.0.lock().unwrap().iter().filter(|(_, what)| *what != "started").copied().collect()
    }
}
