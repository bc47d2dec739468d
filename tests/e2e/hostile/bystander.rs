//! An ordinary user who works in a terminal during an attack.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wire::{Wire, get};
use crate::lab::{GatewayProgram, TOKEN, Viewer, WORKSPACE};

/// How long an echo or a request may take, even with other tests running.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest allowed median of the echoes.
const RESPONSIVE: Duration = Duration::from_millis(500);

/// The interval of requests over new connections.
const REQUEST_INTERVAL: Duration = Duration::from_millis(250);

/// An open terminal with continuous typing, and regular requests for the list of workspaces, at least one.
pub(super) struct Bystander {
    stop: oneshot::Sender<()>,
    working: JoinHandle<Work>,
}

/// The bystander's measurements.
#[derive(Debug, Default)]
struct Work {
    echoes: Vec<Duration>,
    requests: u32,
    /// The slowest response.
    answer: Duration,
}

impl Bystander {
    /// Opens a terminal and starts typing.
    pub(super) async fn start(gateway: &GatewayProgram) -> Self {
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
                if asked.is_none_or(|asked| asked.elapsed() > REQUEST_INTERVAL) {
                    let began = Instant::now();
                    asked = Some(began);
                    let request = async {
                        loop {
                            let mut wire = Wire::open(addr, 1).await;
                            // A connection that was evicted before its request was read retries, as browsers do.
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

    /// Stops, and asserts that everything was answered in time.
    pub(super) async fn assert_unharmed(self) {
        let _ = self.stop.send(());
        let Work { mut echoes, requests, answer } = self.working.await.expect("the work was not blocked");
        echoes.sort();
        let (half, most) = (echoes[echoes.len() / 2], echoes[echoes.len() - 1]);
        eprintln!(
            "bystander: {} echoes in {half:?}, at most {most:?}; {requests} answers in at most {answer:?}",
            echoes.len()
        );
        assert!(half < RESPONSIVE, "half of the echoes took {half:?} and more");
    }
}
