//! Finds local programs and their versions.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// How long a program may take to print its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
/// The most characters of a version.
const MAX_VERSION: usize = 120;

/// Finds the program `name` in PATH.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

/// Returns whether it is an executable file.
pub(super) fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Returns the first line that the program prints for `flag`.
pub(super) async fn version(program: &Path, flag: &str, env: &[(OsString, OsString)]) -> Option<String> {
    let mut command = tokio::process::Command::new(program);
    command.arg(flag).env_clear().envs(env.iter().cloned()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(VERSION_TIMEOUT, command.output()).await.ok()?.ok()?;
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let line = String::from_utf8_lossy(&said).lines().next()?.chars().take(MAX_VERSION).collect::<String>();
    Some(crate::model::escape_control(line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn programs_are_found_with_version() {
        let sh = find("sh").unwrap();
        assert!(is_program(&sh) && !is_program(Path::new("/")) && !is_program(Path::new("/etc/passwd")));
        assert_eq!(find("no-such-program-as-this"), None);
        let env = [("PATH".into(), "/usr/bin:/bin".into())];
        let line = version(Path::new("/bin/sh"), "--nonsense", &env).await.unwrap();
        assert!(!line.is_empty() && !line.contains('\n'));
        assert_eq!(version(Path::new("/no/such"), "-V", &env).await, None);
    }
}
