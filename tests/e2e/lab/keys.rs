//! SSH keys, as OpenSSH makes and tells them.

use std::fs;
use std::path::Path;

use super::require::run_ok;

/// Makes a key of `kind` in `file`, the public half in the file of the same name with `.pub`.
#[track_caller]
pub(crate) fn keygen(kind: &str, passphrase: &str, comment: &str, file: impl AsRef<Path>) {
    let file = file.as_ref().to_str().unwrap();
    run_ok("ssh-keygen", ["-q", "-t", kind, "-N", passphrase, "-C", comment, "-f", file]);
}

/// The SHA-256 fingerprint of a public key, a line as OpenSSH writes it.
#[track_caller]
pub(crate) fn fingerprint(key: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), key).unwrap();
    let told = run_ok("ssh-keygen", ["-lf", file.path().to_str().unwrap()]);
    told.split(' ').nth(1).unwrap().to_owned()
}
