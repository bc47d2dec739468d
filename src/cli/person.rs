//! The person at the terminal, who types the code of an MFA device.

use std::io::{self, IsTerminal, Write};

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

use super::aws::passphrase;
use crate::aws::UserPrompt;

/// Returns to the start of the line and erases it.
const ERASE_LINE: &str = "\r\x1b[2K";

/// The terminal of this process.
#[derive(Debug)]
pub(super) struct Terminal;

impl UserPrompt for Terminal {
    fn mfa_code<'a>(&'a self, serial: &'a str) -> BoxFuture<'a, io::Result<Zeroizing<String>>> {
        Box::pin(async move {
            self.clear_progress();
            // aws-cli's words, which scripts wait for.
            passphrase::ask(&format!("Enter MFA code for {serial}: ")).await
        })
    }

    fn clear_progress(&self) {
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            // A terminal that takes nothing has nothing to clear.
            let _ = stderr.write_all(ERASE_LINE.as_bytes());
        }
    }
}
