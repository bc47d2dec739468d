//! The `eice` program: parses, calls, maps the exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(eice::cli::main(std::env::args_os()))
}
