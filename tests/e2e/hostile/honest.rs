//! Somebody who works in a terminal while others attack.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wire::{Wire, get};
use crate::lab::{GatewayProgram, TOKEN, Viewer, WORKSPACE};

/// How long any keystroke's echo or request may take, whatever others do, other tests included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Within what time half of the echoes are there.
const RESPONSIVE: Duration = Duration::from_millis(500);

/// How often somebody honest asks for something over a new connection.
const ASKS_EVERY: Duration = Duration::from_millis(250);

/// An open terminal in which somebody types without a pause, and who asks for the list of workspaces now and then,
/// once at least.
pub(super) struct Honest {
    stop: oneshot::Sender<()>,
    working: JoinHandle<Work>,
}

/// What somebody honest went through.
#[derive(Debug, Default)]
struct Work {
    echoes: Vec<Duration>,
    requests: u32,
    /// The slowest.
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
            let mut work = Work::default();
            let mut asked: Option<Instant> = None;
            while work.requests == 0 || stopped.try_recv().is_err() {
                let (began, number) = (Instant::now(), work.echoes.len());
                let line = async {
                    terminal.line(&format!("echo n{number}n")).await;
                    terminal.until(&format!("n{number}n")).await;
                };
                timeout(PATIENCE, line).await.unwrap_or_else(|_| panic!("no echo in time, after {number}"));
                work.echoes.push(began.elapsed());
                if asked.is_none_or(|asked| asked.elapsed() > ASKS_EVERY) {
                    let began = Instant::now();
                    asked = Some(began);
                    let request = async {
                        loop {
                            let mut wire = Wire::open(addr, 1).await;
                            // One that had to make room before it was heard asks again, as browsers do.
                            if wire.send(get("/workspaces", &[("Authorization", &bearer)])).await.is_ok()
                                && let Some(answer) = wire.answer().await
                            {
                                return answer.status;
                            }
                        }
                    };
                    let status = timeout(PATIENCE, request).await;
                    assert_eq!(status.expect("an answer in time"), 200, "after {} echoes", work.echoes.len());
                    work.requests += 1;
                    work.answer = work.answer.max(began.elapsed());
                }
            }
            terminal.line("exit").await;
            assert_eq!(terminal.finish().await.close.map(|(code, _)| code), Some(1000));
            work
        });
        Self { stop, working }
    }

    /// Ends the work, which must have gone well.
    pub(super) async fn unharmed(self) {
        let _ = self.stop.send(());
        let Work { mut echoes, requests, answer } = self.working.await.expect("nothing held up the work");
        echoes.sort();
        let (half, most) = (echoes[echoes.len() / 2], echoes[echoes.len() - 1]);
        eprintln!(
            "honest: {} echoes in {half:?}, at most {most:?}; {requests} answers in at most {answer:?}",
            echoes.len()
        );
        assert!(half < RESPONSIVE, "half of the echoes took {half:?} and more");
    }
}
