//! Counts what a connection is made of, before and after.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

/// How long what was ended may take to be gone.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How many counts in a row must be the same to count as settled.
const SAME_COUNTS: u32 = 10;
/// How often it is counted.
const COUNT_EVERY: Duration = Duration::from_millis(10);

/// What there was: the tasks of this test's runtime, and the ends of TCP connections of certain ports.
///
/// A client keeps some connections to the APIs for later, as many as there were calls at once. Each end of one is a
/// task; these do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    tasks: usize,
    connections: usize,
    of: Vec<u16>,
    pooled: u16,
}

impl Census {
    /// Counts when there is no connection of the listeners `of`, in either direction, and the number of tasks has
    /// stopped falling. `pooled` is the listener of the APIs.
    pub(crate) async fn settled(of: &[SocketAddr], pooled: SocketAddr) -> Self {
        let of: Vec<u16> = of.iter().map(SocketAddr::port).collect();
        let mut census = Self { tasks: usize::MAX, connections: 0, of, pooled: pooled.port() };
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        let mut same = 0;
        while same < SAME_COUNTS {
            let (tasks, connections) = census.count();
            same = if tasks < census.tasks || connections > 0 { 0 } else { same + 1 };
            census.tasks = tasks;
            assert!(Instant::now() < deadline, "{connections} connections stay open");
            sleep(COUNT_EVERY).await;
        }
        census
    }

    /// The tasks and the connections that there are now.
    fn count(&self) -> (usize, usize) {
        // First the tasks: an end that is gone in between makes the difference larger, never smaller.
        let tasks = Handle::current().metrics().num_alive_tasks();
        (tasks.saturating_sub(connections(&[self.pooled])), connections(&self.of))
    }

    /// Waits until there is no more than there was.
    #[track_caller]
    pub(crate) fn is_restored(&self) -> impl Future<Output = ()> {
        self.is_restored_but_for(0)
    }

    /// The same, with so many tasks more.
    #[track_caller]
    pub(crate) fn is_restored_but_for(&self, more: usize) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let deadline = Instant::now() + SETTLE_TIMEOUT;
            loop {
                let (tasks, connections) = self.count();
                if tasks <= self.tasks + more && connections <= self.connections {
                    return;
                }
                assert!(
                    Instant::now() < deadline,
                    "{caller}: still {tasks} tasks and {connections} connections after {SETTLE_TIMEOUT:?}; \
                     there were {} and {}",
                    self.tasks,
                    self.connections
                );
                sleep(COUNT_EVERY).await;
            }
        }
    }
}

/// How many ends of connections, but of listeners and of those that are only remembered (TIME_WAIT), name one of
/// `ports`.
fn connections(ports: &[u16]) -> usize {
    const TIME_WAIT: &str = "06";
    const LISTEN: &str = "0A";
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .map(|file| fs::read_to_string(file).unwrap_or_default());
    let port = |end: &str| end.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    lines
        .filter(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote) = (fields.next().and_then(port), fields.next().and_then(port));
            !matches!(fields.next(), Some(TIME_WAIT | LISTEN) | None)
                && [local, remote].into_iter().flatten().any(|port| ports.contains(&port))
        })
        .count()
}

/// How many files the process `pid` has open.
pub(crate) fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
