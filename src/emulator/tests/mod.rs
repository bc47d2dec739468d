//! The emulator as its clients see it: real sockets, real TLS, real signatures.

mod api;
mod client;
mod faults;
mod ssh;
mod tunnel;

use std::time::Duration;

use super::*;

/// No test waits longer than this for what must come.
const ENOUGH: Duration = Duration::from_secs(20);

/// `future`'s outcome, in time.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(ENOUGH, future).await.expect("in time")
}

/// A world whose unreachable targets are given up at once.
fn quick() -> Config {
    Config { dial_timeout_ms: 100, ..Config::default() }
}

async fn start(config: Config) -> Emulator {
    Emulator::start(config).await.unwrap()
}
