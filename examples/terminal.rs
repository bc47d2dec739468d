//! Opens a login shell on a PTY, types a line and prints what the shell shows until it ends:
//! `cargo run --example terminal -- ubuntu@i-0123456789abcdef0`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::error::Error;
use std::io::Write as _;

use eice::model::{Size, TerminalEvent, TerminalRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::args().nth(1).ok_or("usage: terminal [USER@]INSTANCE")?;
    let client = eice::Client::from_env().await?;
    let request = TerminalRequest::new(Size::new(100, 30)?);
    let mut shell = client.terminal(target.as_str(), request).await?;
    shell.write("stty size; exit 3\n").await?;
    while let Some(event) = shell.next().await? {
        match event {
            TerminalEvent::Output(bytes) => std::io::stdout().write_all(&bytes)?,
            TerminalEvent::Exit(exit) => println!("the shell {exit}"),
            _ => {}
        }
    }
    shell.close().await;
    Ok(())
}
