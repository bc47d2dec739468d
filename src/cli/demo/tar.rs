//! Writes tar archives (POSIX ustar) for images: directories, files and symbolic links, all owned by root.

use std::io;

const BLOCK: usize = 512;

/// An archive under construction.
#[derive(Debug, Default)]
pub(super) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// Adds a directory.
    pub(super) fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.header(&format!("{path}/"), mode, 0, b'5', "")
    }

    /// Adds a file.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.header(path, mode, content.len(), b'0', "")?;
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    /// Adds a symbolic link.
    pub(super) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.header(path, 0o777, 0, b'2', target)
    }

    /// Returns the archive, terminated by two empty blocks.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn header(&mut self, path: &str, mode: u32, size: usize, kind: u8, target: &str) -> io::Result<()> {
        let mut block = [0; BLOCK];
        field(&mut block[..100], path)?;
        field(&mut block[100..108], &format!("{mode:07o}"))?;
        field(&mut block[108..116], "0000000")?; // user
        field(&mut block[116..124], "0000000")?; // group
        field(&mut block[124..136], &format!("{size:011o}"))?;
        field(&mut block[136..148], "00000000000")?; // time: makes the image reproducible
        block[148..156].fill(b' '); // the checksum counts as spaces
        block[156] = kind;
        field(&mut block[157..257], target)?;
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        field(&mut block[148..154], &format!("{sum:06o}"))?;
        block[154] = 0;
        self.bytes.extend_from_slice(&block);
        Ok(())
    }
}

/// Writes `text` into a zeroed field.
fn field(field: &mut [u8], text: &str) -> io::Result<()> {
    match field.get_mut(..text.len()) {
        Some(room) => {
            room.copy_from_slice(text.as_bytes());
            Ok(())
        }
        None => Err(io::Error::other(format!("{text:?} is too long for an archive"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn system_tar_reads_archive() {
        let mut tar = Tar::default();
        tar.directory("bin", 0o755).unwrap();
        tar.file("bin/tool", 0o755, &[b'x'; 1000]).unwrap();
        tar.link("bin/sh", "tool").unwrap();
        assert!(tar.file(&"a".repeat(101), 0o644, b"").is_err());
        let mut list = Command::new("tar")
            .args(["-tvf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        list.stdin.take().unwrap().write_all(&tar.finish()).unwrap();
        let out = list.wait_with_output().unwrap();
        assert!(out.status.success());
        let text = String::from_utf8(out.stdout).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("drwxr-xr-x 0/0") && lines[0].ends_with("bin/"), "{text}");
        assert!(lines[1].starts_with("-rwxr-xr-x 0/0") && lines[1].contains("1000"), "{text}");
        assert!(lines[2].ends_with("bin/sh -> tool"), "{text}");
    }
}
