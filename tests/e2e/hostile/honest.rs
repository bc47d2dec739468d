//! Somebody who works in a terminal while others attack.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wire::{Wire, get};
use crate::lab::{GatewayProgram, TOKEN, Viewer, WORKSPACE};

/// How long a keystroke's echo or a request may take, whatever others do.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often somebody honest asks for something over a new connection.
const ASKS_EVERY: Duration = Duration::from_millis(250);

/// An open terminal in which somebody types without a pause, and who asks for the list of workspaces now and then.
pub(super) struct Honest {
    stop: oneshot::Sender<()>,
    working: JoinHandle<Worst>,
}

/// What somebody honest went through.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    lines: u32,
    echo: Duration,
    requests: u32,
    answer: Duration,
}

impl Honest {
    /// Opens a terminal and goes to work.
    pub(super) async fn at_work(gateway: &GatewayProgram) -> Self {
        let addr = gateway.addr();
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("authorization", bearer.as_str()), ("host", crate::lab::PUBLIC_HOST)];
        let mut terminal = Viewer::try_open(addr, WORKSPACE, &headers).await.expect("a terminal");
        terminal.line("PS1=; stty -echo; echo rea''dy").await;
        terminal.until("ready").await;
        let (stop, mut stopped) = oneshot::channel();
        let working = tokio::spawn(async move {
            let mut worst = Worst::default();
            let mut asked: Option<Instant> = None;
            while stopped.try_recv().is_err() {
                let began = Instant::now();
                let line = async {
                    terminal.line(&format!("echo n{}n", worst.lines)).await;
                    terminal.until(&format!("n{}n", worst.lines)).await;
                };
                timeout(PATIENCE, line).await.unwrap_or_else(|_| panic!("no echo in time, after {worst:?}"));
                worst.lines += 1;
                worst.echo = worst.echo.max(began.elapsed());
                if asked.is_none_or(|asked| asked.elapsed() > ASKS_EVERY) {
                    let began = Instant::now();
                    asked = Some(began);
                    let request = async {
                        let mut wire = Wire::open(addr, 1).await;
                        wire.send(get("/workspaces", &[("Authorization", &bearer)])).await.unwrap();
                        wire.answer().await.expect("an answer").status
                    };
                    let status = timeout(PATIENCE, request).await;
                    assert_eq!(status.expect("an answer in time"), 200, "after {worst:?}");
                    worst.requests += 1;
                    worst.answer = worst.answer.max(began.elapsed());
                }
            }
            terminal.line("exit").await;
            assert_eq!(terminal.finish().await.close.map(|(code, _)| code), Some(1000));
            worst
        });
        Self { stop, working }
    }

    /// Ends the work, which must have gone well.
    pub(super) async fn unharmed(self) {
        let _ = self.stop.send(());
        let worst = self.working.await.expect("nothing held up the work");
        eprintln!("honest: {worst:?}");
        assert!(worst.lines > 0 && worst.requests > 0, "{worst:?}");
    }
}
