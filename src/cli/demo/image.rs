//! The image of the demo's containers: local, built from the host's busybox, or fetched.

use std::io;
use std::path::Path;

use super::engine::{Engine, EngineError};
use super::tar::Tar;

/// The image that is built locally and reused.
const LOCAL_IMAGE: &str = "eice-demo:latest";

/// The image that is fetched when none can be built.
const REMOTE_IMAGE: &str = "busybox:latest";

/// The path in Debian's busybox-static.
const BUSYBOX: &str = "/bin/busybox";

/// The largest accepted busybox, in bytes; the usual size is 2 MB.
const MAX_BUSYBOX: u64 = 32 << 20;

/// How far into a program its interpreter is searched, in bytes: it follows the program headers.
const INTERPRETER_WITHIN: usize = 4096;

/// Returns the image to use: `wanted` verbatim, else a local one, else one built from busybox, else a fetched one.
pub(super) async fn image(engine: &Engine, wanted: Option<&str>) -> Result<String, EngineError> {
    if let Some(wanted) = wanted {
        if !engine.has_image(wanted).await {
            engine.pull(wanted).await?;
        }
        return Ok(wanted.to_owned());
    }
    if engine.has_image(LOCAL_IMAGE).await {
        return Ok(LOCAL_IMAGE.to_owned());
    }
    match tokio::task::spawn_blocking(|| busybox_root(Path::new(BUSYBOX))).await {
        Ok(Ok(tar)) => {
            engine.import(LOCAL_IMAGE, tar).await?;
            return Ok(LOCAL_IMAGE.to_owned());
        }
        Ok(Err(error)) => tracing::info!(%error, "no image can be made of busybox"),
        Err(error) => tracing::warn!(%error, "no image can be made of busybox"),
    }
    if !engine.has_image(REMOTE_IMAGE).await {
        engine.pull(REMOTE_IMAGE).await?;
    }
    Ok(REMOTE_IMAGE.to_owned())
}

/// Packs a file system with a static busybox, a link for each of its applets, and a root user.
fn busybox_root(busybox: &Path) -> io::Result<Vec<u8>> {
    let size = std::fs::metadata(busybox)?.len();
    if size > MAX_BUSYBOX {
        return Err(io::Error::other(format!("{} has {size} bytes", busybox.display())));
    }
    let program = std::fs::read(busybox)?;
    if !is_static(&program) {
        return Err(io::Error::other(format!("{} is not static", busybox.display())));
    }
    let listed = std::process::Command::new(busybox).arg("--list").output()?;
    let mut tar = Tar::default();
    for directory in ["bin", "etc", "proc", "root", "sys", "dev", "usr", "usr/bin", "var"] {
        tar.directory(directory, 0o755)?;
    }
    tar.directory("tmp", 0o1777)?;
    tar.file("bin/busybox", 0o755, &program)?;
    for tool in String::from_utf8_lossy(&listed.stdout).lines() {
        if tool != "busybox" && !tool.is_empty() && tool.bytes().all(|b| b.is_ascii_graphic() && b != b'/') {
            tar.link(&format!("bin/{tool}"), "busybox")?;
        }
    }
    tar.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?;
    tar.file("etc/group", 0o644, b"root:x:0:\n")?;
    Ok(tar.finish())
}

/// Returns whether an ELF program has no interpreter, and so needs no libraries.
fn is_static(program: &[u8]) -> bool {
    let head = &program[..program.len().min(INTERPRETER_WITHIN)];
    let names = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    program.starts_with(b"\x7fELF") && !names(b"/ld-linux") && !names(b"/ld-musl") && !names(b"/ld64.so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_static_busybox_is_packed() {
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(b"\x7fELF....../lib64/ld-linux-x86-64.so.2\0"));
        assert!(is_static(b"\x7fELF......"));
        let shell = tempfile::NamedTempFile::new().unwrap();
        assert!(busybox_root(shell.path()).is_err());
        assert!(busybox_root(Path::new("/nonexistent")).is_err());
    }
}
