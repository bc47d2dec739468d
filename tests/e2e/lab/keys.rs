//! SSH keys, generated and fingerprinted by OpenSSH.

use std::fs;
use std::path::Path;

use super::require::run_ok;

/// Generates a key of `kind` in `file`, with the public half in `file.pub`.
#[track_caller]
pub(crate) fn keygen(kind: &str, passphrase: &str, comment: &str, file: impl AsRef<Path>) {
    let file = file.as_ref().to_str().unwrap();
    run_ok("ssh-keygen", ["-q", "-t", kind, "-N", passphrase, "-C", comment, "-f", file]);
}

/// Returns the SHA-256 fingerprint of a public key, given as a line in OpenSSH's format.
#[track_caller]
pub(crate) fn fingerprint(key: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), key).unwrap();
    let line = run_ok("ssh-keygen", ["-lf", file.path().to_str().unwrap()]);
    line.split(' ').nth(1).unwrap().to_owned()
}
