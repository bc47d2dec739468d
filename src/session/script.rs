//! A scripted `Connect` that records what was done to it.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::timeout;

use crate::model::{
    Connect, Control, Exit, Host, HostIds, Input, InstanceTarget, Output, Report, Signal, Size, Stage,
    StageError, StageEvent, StageObserver, StageState, Target, Terminal, TerminalEvent, TerminalRequest,
};

/// How long a test waits for what must happen.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// What a measurement of the round trip comes to.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(7);

/// What connecting does.
pub(crate) enum Mode {
    Open,
    Hang,
    Fail(fn() -> StageError),
    FailTerminal(fn() -> StageError),
    Panic,
}

/// What was done so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connects: usize,
    /// Attempts that were dropped before they came to an end.
    pub(crate) abandoned: usize,
    pub(crate) diagnoses: usize,
    /// Diagnoses that were dropped before they came to an end.
    pub(crate) diagnoses_abandoned: usize,
    pub(crate) requests: Vec<TerminalRequest>,
    pub(crate) written: Vec<u8>,
    pub(crate) input_ended: bool,
    /// Sizes that were set after the terminal was opened.
    pub(crate) sizes: Vec<Size>,
    /// How often the round trip was measured.
    pub(crate) measured: usize,
    /// Events that the session took from the terminal.
    pub(crate) taken: usize,
    pub(crate) terminal_closes: usize,
    pub(crate) host_closes: usize,
    pub(crate) terminals_dropped: usize,
}

pub(crate) struct Script {
    pub(crate) mode: Mode,
    pub(crate) blocks_input: bool,
    pub(crate) hangs_on_close: bool,
    /// The ids of its connections.
    pub(crate) ids: HostIds,
    /// What a diagnosis comes to; without it there is none.
    pub(crate) report: Option<fn() -> Report>,
    /// Whether a diagnosis may end.
    pub(crate) may_report: watch::Sender<bool>,
    seen: watch::Sender<Seen>,
    say: mpsc::UnboundedSender<io::Result<TerminalEvent>>,
    said: Arc<Mutex<mpsc::UnboundedReceiver<io::Result<TerminalEvent>>>>,
}

impl Script {
    pub(crate) fn new(mode: Mode) -> Self {
        let (say, said) = mpsc::unbounded_channel();
        let said = Arc::new(Mutex::new(said));
        let seen = watch::channel(Seen::default()).0;
        let may_report = watch::channel(true).0;
        Self {
            mode,
            blocks_input: false,
            hangs_on_close: false,
            ids: HostIds::default(),
            report: None,
            may_report,
            seen,
            say,
            said,
        }
    }

    /// Has the terminal say `data`.
    pub(crate) fn say(&self, data: &[u8]) {
        self.say.send(Ok(TerminalEvent::Output(Bytes::copy_from_slice(data)))).unwrap();
    }

    /// Has the process in the terminal end.
    pub(crate) fn exit(&self, code: u32) {
        self.say.send(Ok(TerminalEvent::Exit(Exit::Code(code)))).unwrap();
    }

    /// Has the connection break.
    pub(crate) fn break_off(&self, message: &str) {
        self.say.send(Err(io::Error::other(message.to_owned()))).unwrap();
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, what: &str, condition: impl FnMut(&Seen) -> bool) {
        let mut seen = self.seen.subscribe();
        let waited = timeout(SOON, seen.wait_for(condition)).await.map(|seen| seen.is_ok());
        assert!(waited.is_ok(), "{what} did not happen: {:?}", self.seen());
    }
}

/// Any target: the script looks at none.
pub(crate) fn target() -> Target {
    InstanceTarget::new("i-1".parse().unwrap()).into()
}

impl Connect for Script {
    fn connect<'a>(
        &'a self,
        _target: &'a Target,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Box<dyn Host>, StageError>> {
        async move {
            self.seen.send_modify(|seen| seen.connects += 1);
            observer.on_stage(StageEvent::new(Stage::Tcp, StageState::Started));
            let mut attempt = OnDrop(Some(|| self.seen.send_modify(|seen| seen.abandoned += 1)));
            let fail_terminal = match &self.mode {
                Mode::Open => None,
                Mode::Hang => pending().await,
                Mode::Fail(error) => return Err(attempt.0.take().map(|_| error()).unwrap()),
                Mode::FailTerminal(error) => Some(*error),
                Mode::Panic => panic!("the script says so"),
            };
            attempt.0 = None;
            let host = ScriptHost {
                fail_terminal,
                blocks_input: self.blocks_input,
                hangs_on_close: self.hangs_on_close,
                ids: self.ids.clone(),
                seen: self.seen.clone(),
                said: Arc::clone(&self.said),
            };
            Ok(Box::new(host) as Box<dyn Host>)
        }
        .boxed()
    }

    fn diagnose<'a>(
        &'a self,
        _target: &'a Target,
        _observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Option<Report>> {
        async move {
            let report = self.report?;
            self.seen.send_modify(|seen| seen.diagnoses += 1);
            let mut attempt = OnDrop(Some(|| self.seen.send_modify(|seen| seen.diagnoses_abandoned += 1)));
            let _ = self.may_report.subscribe().wait_for(|may| *may).await;
            attempt.0 = None;
            Some(report())
        }
        .boxed()
    }
}

struct ScriptHost {
    fail_terminal: Option<fn() -> StageError>,
    blocks_input: bool,
    hangs_on_close: bool,
    ids: HostIds,
    seen: watch::Sender<Seen>,
    said: Arc<Mutex<mpsc::UnboundedReceiver<io::Result<TerminalEvent>>>>,
}

impl Host for ScriptHost {
    fn open_terminal<'a>(
        &'a self,
        request: &'a TerminalRequest,
        _observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Terminal, StageError>> {
        async move {
            if let Some(error) = self.fail_terminal {
                return Err(error());
            }
            self.seen.send_modify(|seen| seen.requests.push(request.clone()));
            let seen = self.seen.clone();
            Ok(Terminal {
                input: Box::new(ScriptInput { blocks: self.blocks_input, seen: seen.clone() }),
                output: Box::new(ScriptOutput { seen: seen.clone(), said: Arc::clone(&self.said) }),
                control: Box::new(ScriptControl { hangs: self.hangs_on_close, seen }),
            })
        }
        .boxed()
    }

    fn ids(&self) -> HostIds {
        self.ids.clone()
    }

    fn round_trip(&self) -> BoxFuture<'_, Option<Duration>> {
        async {
            self.seen.send_modify(|seen| seen.measured += 1);
            Some(ROUND_TRIP)
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move { self.seen.send_modify(|seen| seen.host_closes += 1) }.boxed()
    }
}

struct ScriptInput {
    blocks: bool,
    seen: watch::Sender<Seen>,
}

impl Input for ScriptInput {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        async move {
            if self.blocks {
                pending::<()>().await;
            }
            self.seen.send_modify(|seen| seen.written.extend_from_slice(&data));
            Ok(())
        }
        .boxed()
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        async {
            self.seen.send_modify(|seen| seen.input_ended = true);
            Ok(())
        }
        .boxed()
    }
}

struct ScriptOutput {
    seen: watch::Sender<Seen>,
    said: Arc<Mutex<mpsc::UnboundedReceiver<io::Result<TerminalEvent>>>>,
}

impl Output for ScriptOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        async move {
            let event = self.said.lock().await.recv().await;
            self.seen.send_modify(|seen| seen.taken += 1);
            event
        }
        .boxed()
    }
}

struct ScriptControl {
    hangs: bool,
    seen: watch::Sender<Seen>,
}

impl Control for ScriptControl {
    fn resize(&self, size: Size) -> BoxFuture<'_, io::Result<()>> {
        async move {
            self.seen.send_modify(|seen| seen.sizes.push(size));
            Ok(())
        }
        .boxed()
    }

    fn signal(&self, _signal: Signal) -> BoxFuture<'_, io::Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.seen.send_modify(|seen| seen.terminal_closes += 1);
            if self.hangs {
                pending::<()>().await;
            }
        }
        .boxed()
    }
}

impl Drop for ScriptControl {
    fn drop(&mut self) {
        self.seen.send_modify(|seen| seen.terminals_dropped += 1);
    }
}

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(then) = self.0.take() {
            then();
        }
    }
}
