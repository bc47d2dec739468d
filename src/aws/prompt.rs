//! Prompts for the user at the terminal, which loading credentials may need.

use std::fmt;
use std::io;

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

/// Prompts the user at the terminal.
pub trait UserPrompt: fmt::Debug + Send + Sync {
    /// Prompts for the code of the MFA device `serial`.
    ///
    /// # Errors
    /// There is no terminal, or its input ended.
    fn mfa_code<'a>(&'a self, serial: &'a str) -> BoxFuture<'a, io::Result<Zeroizing<String>>>;

    /// Clears the progress display: a credential process may prompt there.
    fn clear_progress(&self);
}
