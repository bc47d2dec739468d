//! The person in front of the terminal, whom obtaining credentials may need.

use std::fmt;
use std::io;

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

/// Answers what only a person knows.
pub trait UserPrompt: fmt::Debug + Send + Sync {
    /// Asks for the code that the MFA device `serial` shows.
    ///
    /// # Errors
    /// There is no terminal, or it ended.
    fn mfa_code<'a>(&'a self, serial: &'a str) -> BoxFuture<'a, io::Result<Zeroizing<String>>>;

    /// Clears what the program shows on the terminal: a credential process may ask something there.
    fn clear_progress(&self);
}
