//! Tests the emulator from the client's side: real sockets, real TLS, real signatures.

mod api;
mod client;
mod faults;
mod ssh;
mod tunnel;

use std::time::Duration;

use super::*;

/// The time limit of every wait.
const ENOUGH: Duration = Duration::from_secs(20);

/// Awaits `future` within the time limit.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(ENOUGH, future).await.expect("in time")
}

/// Returns a configuration with a short dial timeout.
fn quick() -> EmulatorConfig {
    EmulatorConfig { dial_timeout_ms: 100, ..EmulatorConfig::default() }
}

async fn start(config: EmulatorConfig) -> Emulator {
    Emulator::start(config).await.unwrap()
}
