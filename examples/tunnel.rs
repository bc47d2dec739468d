//! Carries stdin and stdout through a tunnel, as an OpenSSH `ProxyCommand` does:
//! `ssh -o ProxyCommand='target/debug/examples/tunnel i-0123456789abcdef0' ubuntu@host`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::error::Error;

use tokio::io::{copy_bidirectional, join, stdin, stdout};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::args().nth(1).ok_or("usage: tunnel INSTANCE")?;
    let client = eice::Client::from_env().await?;
    let mut tunnel = client.open_tunnel(target.as_str()).await?;
    copy_bidirectional(&mut tunnel, &mut join(stdin(), stdout())).await?;
    Ok(())
}
