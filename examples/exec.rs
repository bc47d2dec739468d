//! Runs a command on an instance: `cargo run --example exec -- ubuntu@i-0123456789abcdef0 'uname -r'`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(target), Some(command)) = (args.next(), args.next()) else {
        return Err("usage: exec [USER@]INSTANCE COMMAND".into());
    };
    let client = eice::Client::from_env().await?;
    let output = client.exec(target.as_str(), command).await?.output().await?;
    std::io::stdout().write_all(&output.stdout)?;
    std::io::stderr().write_all(&output.stderr)?;
    Ok(ExitCode::from(u8::try_from(output.exit.code()).unwrap_or(255)))
}
