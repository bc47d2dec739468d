//! Lists remote files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::dialog::{Dialog, readable};
use super::put::MAX_BATCH_WORDS;
use super::script::{ATTRIBUTES, FOLDERS, LIST, Script};
use super::{Files, RemotePath, TransferError};

/// The most bytes of a listing.
const MAX_LISTING: usize = 64 * 1024 * 1024;

/// A remote file, folder or other entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its path: the requested one, or below it.
    pub path: RemotePath,
    /// Its kind.
    pub kind: FileKind,
    /// Its permission bits.
    pub mode: u32,
    /// Its size, in bytes.
    pub size: u64,
    /// When it was last modified, in seconds since 1970.
    pub modified: u64,
    /// Its path relative to the requested one.
    pub(super) below: Vec<u8>,
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a socket or a pipe.
    Special,
}

impl FileKind {
    /// Returns the kind encoded in the mode of `stat(2)`.
    fn of(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o100_000 => Self::File,
            0o040_000 => Self::Folder,
            0o120_000 => Self::Link,
            _ => Self::Special,
        }
    }
}

impl Files<'_> {
    /// Returns the entry at `path`, following links; `None` when it does not exist.
    ///
    /// # Errors
    /// [`TransferError`] when that cannot be determined.
    pub async fn stat(&self, path: &RemotePath) -> Result<Option<Entry>, TransferError> {
        let mut listed = self.list(std::slice::from_ref(path), false).await?;
        match listed.pop() {
            Some(Ok(mut entries)) => Ok(entries.pop()),
            Some(Err(TransferError::Remote { words, .. })) if words.contains("o such file") => Ok(None),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        }
    }

    /// Returns the entry of each of `paths`, and with `recursive` the contents of the folders among them: the
    /// folder first, then everything below it in no particular order. Links are followed at `paths`, not below.
    ///
    /// # Errors
    /// [`TransferError`] if nothing can be listed; the error of a single path is in its place.
    pub async fn list(
        &self,
        paths: &[RemotePath],
        recursive: bool,
    ) -> Result<Vec<Result<Vec<Entry>, TransferError>>, TransferError> {
        let mut listed = Vec::with_capacity(paths.len());
        let mut rest = paths;
        while !rest.is_empty() {
            let script = Script::new(LIST).word(if recursive { "all" } else { "" });
            let (script, count) = fill(script, rest, Script::path, |path| path);
            let (these, later) = rest.split_at(count);
            listed.extend(self.list_batch(these, &script).await?);
            rest = later;
        }
        Ok(listed)
    }

    async fn list_batch(
        &self,
        paths: &[RemotePath],
        script: &Script,
    ) -> Result<Vec<Result<Vec<Entry>, TransferError>>, TransferError> {
        let mut dialog = Dialog::start(self, script).await?;
        dialog.end_input().await?;
        let mut said = Vec::new();
        while let Some(chunk) = dialog.chunk().await? {
            said.extend_from_slice(&chunk);
            if said.len() > MAX_LISTING {
                return Err(TransferError::TooMuch(format!(
                    "the listing exceeds {} MiB; copy in parts",
                    MAX_LISTING >> 20
                )));
            }
        }
        let nonce = dialog.nonce().to_owned();
        let words = dialog.finish().await?.before;
        parse(&said, &nonce, paths, &words)
    }

    /// Creates folders and their parents, and returns the result of each.
    ///
    /// # Errors
    /// [`TransferError`] if the command fails; the error of a single folder is in its place.
    pub async fn make_folders(
        &self,
        paths: &[RemotePath],
    ) -> Result<Vec<Result<(), TransferError>>, TransferError> {
        self.for_each(FOLDERS, paths, Script::path, |path| path).await
    }
}

impl Files<'_> {
    /// Sets the mode and modification time of folders in the given order, and returns the result of each.
    pub(super) async fn set_attributes(
        &self,
        folders: &[(RemotePath, u32, u64)],
    ) -> Result<Vec<Result<(), TransferError>>, TransferError> {
        let add = |script: Script, (path, mode, modified): &(RemotePath, u32, u64)| {
            script.path(path).word(&format!("{mode:o}")).word(&modified.to_string())
        };
        self.for_each(ATTRIBUTES, folders, add, |folder| &folder.0).await
    }

    /// Runs `body` on `items` in batches, with the arguments that `add` appends, and returns the result of
    /// each.
    async fn for_each<T>(
        &self,
        body: &'static str,
        items: &[T],
        add: impl Fn(Script, &T) -> Script,
        path: impl Fn(&T) -> &RemotePath,
    ) -> Result<Vec<Result<(), TransferError>>, TransferError> {
        let mut results = Vec::with_capacity(items.len());
        let mut rest = items;
        while !rest.is_empty() {
            let (script, count) = fill(Script::new(body), rest, &add, &path);
            let (these, later) = rest.split_at(count);
            let mut dialog = Dialog::start(self, &script).await?;
            dialog.end_input().await?;
            for item in these {
                results.push(dialog.answer().await?.verdict(path(item)));
            }
            dialog.finish().await?;
            rest = later;
        }
        Ok(results)
    }
}

/// Appends as many of `items` to `script` as one command line can hold, at least one, and returns their number.
fn fill<T>(
    mut script: Script,
    items: &[T],
    add: impl Fn(Script, &T) -> Script,
    path: impl Fn(&T) -> &RemotePath,
) -> (Script, usize) {
    let mut count = 0;
    for item in items {
        if count > 0 && script.len() + path(item).word().len() > MAX_BATCH_WORDS {
            break;
        }
        script = add(script, item);
        count += 1;
    }
    (script, count)
}

/// Parses the answers of [`LIST`]: each is at the beginning of a line and starts with `nonce`.
fn parse(
    said: &[u8],
    nonce: &str,
    paths: &[RemotePath],
    words: &str,
) -> Result<Vec<Result<Vec<Entry>, TransferError>>, TransferError> {
    let odd = || TransferError::Shell {
        said: if words.is_empty() { readable(&said[..said.len().min(512)]) } else { words.into() },
    };
    let mut listed: Vec<Result<Vec<Entry>, TransferError>> = Vec::new();
    let (mut found, mut top): (Vec<Entry>, Vec<u8>) = Default::default();
    for record in records(said, nonce.as_bytes()) {
        let root = paths.get(listed.len());
        match record {
            b"root" => found = Vec::new(),
            b"done" => listed.push(Ok(std::mem::take(&mut found))),
            b"no" => {
                let path = root.ok_or_else(odd)?.to_string();
                listed.push(Err(TransferError::Remote { path, words: words.to_owned() }));
            }
            record => {
                let root = root.ok_or_else(odd)?;
                let (mut entry, name) = entry(record, root).ok_or_else(odd)?;
                if found.is_empty() {
                    top = name.to_vec();
                } else {
                    match below(name, &top).ok_or_else(odd)? {
                        // `find` lists the folder itself once more.
                        b"" => continue,
                        below => {
                            entry.path = root.join(OsStr::from_bytes(below)).map_err(|_| odd())?;
                            entry.below = below.to_vec();
                        }
                    }
                }
                found.push(entry);
            }
        }
    }
    if listed.len() == paths.len() { Ok(listed) } else { Err(odd()) }
}

/// Splits the output into records: each starts with `nonce` at the beginning of a line and ends before the
/// next.
fn records<'a>(said: &'a [u8], nonce: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = said.strip_prefix(nonce);
    std::iter::from_fn(move || {
        let now = rest?;
        let next =
            now.windows(nonce.len() + 1).position(|window| window[0] == b'\n' && &window[1..] == nonce);
        let record = match next {
            Some(at) => {
                rest = Some(&now[at + 1 + nonce.len()..]);
                &now[..at]
            }
            None => {
                rest = None;
                now.strip_suffix(b"\n").unwrap_or(now)
            }
        };
        Some(record.strip_prefix(b" ").unwrap_or(record))
    })
}

/// Parses `e MODE SIZE TIME NAME` into an entry, for now at `path`, and its name.
fn entry<'a>(record: &'a [u8], path: &RemotePath) -> Option<(Entry, &'a [u8])> {
    let mut parts = record.strip_prefix(b"e ")?.splitn(4, |&byte| byte == b' ');
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let mode = u32::from_str_radix(text()?, 16).ok()?;
    let size = text()?.parse().ok()?;
    let modified = text()?.parse::<i64>().ok()?.try_into().unwrap_or(0);
    let entry = Entry {
        path: path.clone(),
        kind: FileKind::of(mode),
        mode: mode & 0o7777,
        size,
        modified,
        below: Vec::new(),
    };
    Some((entry, parts.next()?))
}

/// Returns the part of `name` below `TOP/.`; `None` for other places, which a remote must not report.
fn below<'a>(name: &'a [u8], top: &[u8]) -> Option<&'a [u8]> {
    let below = name.strip_prefix(top)?.strip_prefix(b"/.")?;
    if below.is_empty() {
        return Some(below);
    }
    let below = below.strip_prefix(b"/")?;
    let is_odd = below.split(|&byte| byte == b'/').any(|part| matches!(part, b"" | b"." | b".."));
    (!is_odd).then_some(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(said: &[u8], paths: &[&str]) -> Result<Vec<Result<Vec<Entry>, TransferError>>, TransferError> {
        let paths: Vec<_> = paths.iter().map(|path| RemotePath::new(*path).unwrap()).collect();
        parse(said, "4711", &paths, "stat: no such file")
    }

    #[test]
    fn listing_keeps_names_verbatim() {
        let said = b"4711 root\n4711 e 41ed 4096 7 /h/.u/d\n4711 e 41ed 4096 7 /h/.u/d/.\n\
            4711 e 81a4 3 8 /h/.u/d/./two\nlines\n4711 e a1ff 1 9 /h/.u/d/./s/l\n4711 done\n4711 root\n4711 no\n";
        let listed = parsed(said, &["~/d", "x"]).unwrap();
        let entries = listed[0].as_ref().unwrap();
        let fields: Vec<_> = entries.iter().map(|e| (e.path.as_bytes(), e.kind, e.mode, e.size)).collect();
        assert_eq!(
            fields,
            [
                (&b"~/d"[..], FileKind::Folder, 0o755, 4096),
                (b"~/d/two\nlines", FileKind::File, 0o644, 3),
                (b"~/d/s/l", FileKind::Link, 0o777, 1),
            ]
        );
        assert!(matches!(&listed[1], Err(TransferError::Remote { .. })));
    }

    #[test]
    fn listing_outside_the_root_is_rejected() {
        for name in ["/etc/passwd", "d/./../x", "d/./a/../../x", "d/.//x", "d/./a/", "d/.a"] {
            let said = format!("4711 root\n4711 e 41ed 1 1 d\n4711 e 81a4 1 1 {name}\n4711 done\n");
            assert!(matches!(parsed(said.as_bytes(), &["d"]), Err(TransferError::Shell { .. })), "{name}");
        }
        for said in
            ["", "rubbish", "4711 root\n4711 e zz 1 1 d\n", "4711 done\n4711 done\n", "4711 e 81a4 1 1\n"]
        {
            assert!(parsed(said.as_bytes(), &["d"]).is_err(), "{said}");
        }
    }
}
