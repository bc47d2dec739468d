//! Checks that tasks and connections are released: counts them before and after.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Handle;

use super::wait::poll_async;

/// How long resources may take to be released.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How many equal counts in a row are considered settled.
const SAME_COUNTS: u32 = 10;

/// A count of the tasks of this test's runtime and of the sockets of certain ports.
///
/// A client pools connections to the APIs, as many as it had concurrent calls. Each end of a pooled connection is a
/// task; these are not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeakCheck {
    tasks: usize,
    connections: usize,
    of: Vec<u16>,
    pooled: u16,
}

impl LeakCheck {
    /// Counts once the listeners `of` have no connection in either direction and the number of tasks has stopped
    /// falling. `pooled` is the listener of the APIs.
    pub(crate) async fn settled(of: &[SocketAddr], pooled: SocketAddr) -> Self {
        let of: Vec<u16> = of.iter().map(SocketAddr::port).collect();
        let mut check = Self { tasks: usize::MAX, connections: 0, of, pooled: pooled.port() };
        let (mut same, mut open) = (0, 0);
        let settled = poll_async(SETTLE_TIMEOUT, async || {
            let (tasks, connections) = check.count();
            same = if tasks < check.tasks || connections > 0 { 0 } else { same + 1 };
            (check.tasks, open) = (tasks, connections);
            (same >= SAME_COUNTS).then_some(())
        });
        assert!(settled.await.is_some(), "{open} connections stay open");
        check
    }

    /// Returns the current tasks and connections.
    fn count(&self) -> (usize, usize) {
        // Tasks first: a socket that closes in between makes the difference larger, never smaller.
        let tasks = Handle::current().metrics().num_alive_tasks();
        (tasks.saturating_sub(connections(&[self.pooled])), connections(&self.of))
    }

    /// Waits until no more tasks and connections exist than at the time of the count.
    #[track_caller]
    pub(crate) fn assert_no_leaks(&self) -> impl Future<Output = ()> {
        self.assert_leaks_at_most(0)
    }

    /// The same, with `more` additional tasks.
    #[track_caller]
    pub(crate) fn assert_leaks_at_most(&self, more: usize) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let mut left = (0, 0);
            let restored = poll_async(SETTLE_TIMEOUT, async || {
                left = self.count();
                (left.0 <= self.tasks + more && left.1 <= self.connections).then_some(())
            });
            assert!(
                restored.await.is_some(),
                "{caller}: still {} tasks and {} connections after {SETTLE_TIMEOUT:?}; there were {} and {}",
                left.0,
                left.1,
                self.tasks,
                self.connections
            );
        }
    }
}

/// Counts the sockets that have one of `ports` at either end, without listeners and TIME_WAIT.
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

/// Counts the open file descriptors of the process `pid`.
pub(crate) fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
