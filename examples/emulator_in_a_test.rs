//! Tests code that uses EC2 Instance Connect Endpoints without AWS: `cargo run --example emulator_in_a_test`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::error::Error;

use eice::Client;
use eice::emulator::{Emulator, EmulatorConfig};

/// The code under test.
async fn kernel(client: &Client, target: &str) -> Result<String, eice::client::Error> {
    let output = client.exec(target, "uname -s").await?.output().await?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::start(EmulatorConfig::default()).await?;
    let client = Client::for_emulator(emulator.access())?;

    assert_eq!(kernel(&client, "i-0123456789abcdef0").await?, "Linux");

    // Each fault of the service is a switch.
    emulator.faults().update(|faults| faults.quota = Some(0));
    let error = kernel(&client, "i-0123456789abcdef0").await.err().ok_or("the quota has no effect")?;
    println!("{error}");

    emulator.shutdown().await;
    Ok(())
}
