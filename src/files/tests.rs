//! Runs the scripts and their users with real local shells and tools: dash and bash with coreutils, busybox
//! with its own.

mod shell_host;

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::workspace::{self, File};
use super::{
    Attributes, Copied, CopyEvent, CopyOptions, FileKind, FileMode, Files, MAX_CHANNELS, RemotePath,
    TransferError,
};
use shell_host::{SHELLS, ShellHost};

fn remote(path: impl AsRef<Path>) -> RemotePath {
    RemotePath::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

fn exactly(mode: u32) -> Attributes {
    Attributes::new(FileMode::Exactly(mode))
}

/// Returns all names in `folder`, hidden ones included.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn noise(len: usize) -> Vec<u8> {
    let mut seed = len as u64;
    std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    })
    .take(len)
    .collect()
}

async fn stream(pieces: Vec<Vec<u8>>) -> super::Chunks {
    let (send, chunks) = mpsc::channel(pieces.len().max(1));
    for piece in pieces {
        send.send(Ok(Bytes::from(piece))).await.unwrap();
    }
    chunks
}

#[tokio::test(flavor = "multi_thread")]
async fn sum_may_precede_the_file() {
    for shell in SHELLS {
        let host = ShellHost::new(shell);
        host.send_stderr_first();
        fs::write(host.home().join("file"), "content").unwrap();
        assert_eq!(Files::of(&host).read(&remote("file"), 100).await.unwrap(), b"content", "{shell:?}");
        let error = Files::of(&host).read(&remote("none"), 100).await.unwrap_err();
        assert!(
            matches!(&error, TransferError::Remote { words, .. } if words.contains("o such file")),
            "{error}"
        );
    }
}

const LARGE: usize = 700_000;

#[tokio::test(flavor = "multi_thread")]
async fn written_content_reads_back() {
    for shell in SHELLS {
        let host = ShellHost::new(shell);
        let files = Files::of(&host);
        let target = host.home().join("deep/er/a b");
        for content in [noise(LARGE), Vec::new(), b"x".to_vec()] {
            let done = files.write(&remote(&target), content.clone().into(), exactly(0o640)).await.unwrap();
            assert_eq!((done.size, done.resumed_at), (content.len() as u64, 0), "{shell:?}");
            assert!(fs::read(&target).unwrap() == content, "{shell:?}");
            assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o640, "{shell:?}");
            assert!(files.read(&remote(&target), 1 << 20).await.unwrap() == content, "{shell:?}");
        }
        assert_eq!(fs::metadata(host.home().join("deep")).unwrap().mode() & 0o777, 0o755, "as install -D");
        fs::set_permissions(&target, Permissions::from_mode(0o604)).unwrap();
        let dated = Attributes { mode: FileMode::Keep(0o777), modified: Some(1_000_000) };
        files.write(&remote("deep/er/a b"), "kept".into(), dated).await.unwrap();
        let there = fs::metadata(&target).unwrap();
        assert_eq!((there.mode() & 0o7777, there.mtime()), (0o604, 1_000_000), "{shell:?}");
        let pieces = vec![noise(100_000), Vec::new(), noise(3), b"\n\0'".to_vec()];
        let done =
            files.write_stream(stream(pieces.clone()).await, &remote(&target), exactly(0o600), &|_| {}).await;
        assert_eq!(done.unwrap().size, 100_006, "{shell:?}");
        assert!(fs::read(&target).unwrap() == pieces.concat(), "{shell:?}");
        files
            .write_stream(stream(Vec::new()).await, &remote("~/empty"), exactly(0o600), &|_| {})
            .await
            .unwrap();
        assert_eq!(fs::metadata(host.home().join("empty")).unwrap().len(), 0);
        assert_eq!(names(&host.home().join("deep/er")), ["a b"], "{shell:?}");
        assert!(matches!(files.read(&remote(&target), 10).await, Err(TransferError::TooMuch(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_round_trip() {
    let odd: [&[u8]; 9] =
        [b"-rf", b"a\nb", b"$(id)", b"it's", b" ", b"\\n", b"\xff\xfe", "\u{e9}*".as_bytes(), b"n\n4711 ok"];
    for shell in SHELLS {
        let host = ShellHost::new(shell);
        let files = Files::of(&host);
        for name in odd {
            let path = RemotePath::new(name).unwrap();
            files.write(&path, name.to_vec().into(), exactly(0o600)).await.unwrap();
            let content = files.read(&path, 100).await.unwrap();
            assert_eq!(content, name, "{shell:?}");
        }
        assert_eq!(fs::read_dir(host.home()).unwrap().count(), odd.len());
        let listed = files.list(&[remote(host.home())], true).await.unwrap().pop().unwrap().unwrap();
        let mut below: Vec<_> = listed.iter().skip(1).map(|entry| entry.below.clone()).collect();
        below.sort();
        let mut expected: Vec<_> = odd.map(<[u8]>::to_vec).to_vec();
        expected.sort();
        assert_eq!(below, expected, "{shell:?}");
        // And back again, all in one batch.
        let here = tempfile::tempdir().unwrap();
        let target = here.path().join("copy");
        let copied = download(&files, host.home(), &target).await;
        assert_eq!((copied.files, copied.folders), (odd.len() as u64, 1), "{shell:?}: {copied:?}");
        for name in odd {
            assert_eq!(fs::read(target.join(std::ffi::OsStr::from_bytes(name))).unwrap(), name);
        }
    }
}

async fn download(files: &Files<'_>, from: &Path, to: &Path) -> Copied {
    let options = CopyOptions::new(true, false);
    files.download(&[remote(from)], to, options, &|_| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_write_keeps_target() {
    for shell in SHELLS {
        let host = ShellHost::new(shell);
        let files = Files::of(&host);
        fs::write(host.home().join("file"), "old").unwrap();
        let write = async |path: &str, content: Vec<u8>| {
            files.write(&remote(path), content.into(), exactly(0o600)).await
        };
        let error = write("file/below", noise(10)).await.unwrap_err();
        assert!(
            matches!(&error, TransferError::Remote { words, .. } if words.contains("ile")),
            "{shell:?}: {error}"
        );
        fs::create_dir(host.home().join("folder")).unwrap();
        assert!(matches!(write("folder", noise(10)).await, Err(TransferError::Folder { .. })), "{shell:?}");
        assert!(
            matches!(write("/dev/null", noise(10)).await, Err(TransferError::Special { .. })),
            "{shell:?}"
        );
        assert!(
            matches!(files.read(&remote("/dev/zero"), 1).await, Err(TransferError::Special { .. })),
            "{shell:?}"
        );
        let error = files.read(&remote("none"), 1).await.unwrap_err();
        assert!(
            matches!(&error, TransferError::Remote { words, .. } if words.contains("o such file")),
            "{shell:?}: {error}"
        );
        assert_eq!(error.fault(), crate::model::Fault::NotFound);
        assert_eq!(files.stat(&remote("none")).await.unwrap(), None);
        assert_eq!(files.stat(&remote("file")).await.unwrap().unwrap().kind, FileKind::File);
        assert_eq!(fs::read(host.home().join("file")).unwrap(), b"old");
        assert_eq!(names(host.home()), ["file", "folder"], "{shell:?}");
    }
    // Busybox's shell has all tools built in.
    for shell in &SHELLS[..2] {
        let bare = ShellHost::without_tool(shell, "sha256sum");
        let error = Files::of(&bare).write(&remote("x"), "x".into(), exactly(0o600)).await.unwrap_err();
        assert!(
            matches!(&error, TransferError::NoTool { tool } if tool == "sha256sum"),
            "{shell:?}: {error}"
        );
        let error = Files::of(&bare).read(&remote("x"), 1).await.unwrap_err();
        assert!(matches!(error, TransferError::NoTool { .. }), "{shell:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_write_resumes() {
    for shell in SHELLS {
        let host = ShellHost::new(shell);
        let target = host.home().join("file");
        fs::write(&target, "old").unwrap();
        let content = noise(4_000_000);
        host.cut_input_after(Some(1_500_000));
        let cut = Files::of(&host).write(&remote("file"), content.clone().into(), exactly(0o600)).await;
        assert!(matches!(cut, Err(TransferError::Connection(_))), "{shell:?}: {cut:?}");
        host.wait_until_idle().await;
        assert_eq!(fs::read(&target).unwrap(), b"old", "{shell:?}");
        assert_eq!(names(host.home()), [".file.eice-part", "file"], "{shell:?}");
        host.cut_input_after(None);
        let done =
            Files::of(&host).write(&remote("file"), content.clone().into(), exactly(0o600)).await.unwrap();
        assert!(done.resumed_at > 1_000_000, "{shell:?}: {done:?}");
        assert!(fs::read(&target).unwrap() == content);
        assert_eq!(names(host.home()), ["file"], "{shell:?}");

        // A part of another file is not used, nor is one that is too long or belongs to another user.
        for part in [noise(5000), noise(5_000_000)] {
            fs::write(host.home().join(".file.eice-part"), part).unwrap();
            let done = Files::of(&host).write(&remote("file"), content.clone().into(), exactly(0o600)).await;
            assert_eq!(done.unwrap().resumed_at, 0, "{shell:?}");
            assert!(fs::read(&target).unwrap() == content);
            assert_eq!(names(host.home()), ["file"], "{shell:?}");
        }
        fs::write(host.home().join("victim"), "mine").unwrap();
        std::os::unix::fs::symlink("victim", host.home().join(".file.eice-part")).unwrap();
        Files::of(&host).write(&remote("file"), content.clone().into(), exactly(0o600)).await.unwrap();
        assert_eq!(fs::read(host.home().join("victim")).unwrap(), b"mine", "{shell:?}");

        // A stream of unknown size leaves no part.
        host.cut_input_after(Some(150_000));
        let pieces = vec![noise(100_000); 5];
        let cut = Files::of(&host)
            .write_stream(stream(pieces).await, &remote("piped"), exactly(0o600), &|_| {})
            .await;
        assert!(cut.is_err(), "{shell:?}");
        host.wait_until_idle().await;
        assert!(!host.home().join("piped").exists(), "{shell:?}");
        assert!(names(host.home()).iter().all(|name| !name.contains("piped")), "{:?}", names(host.home()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_read_resumes() {
    for shell in SHELLS {
        let host = ShellHost::new(shell);
        let here = tempfile::tempdir().unwrap();
        let (source, target) = (host.home().join("file"), here.path().join("file"));
        let content = noise(4_000_000);
        fs::write(&source, &content).unwrap();
        fs::write(&target, "old").unwrap();
        host.cut_output_after(Some(1_500_000));
        let copied = download(&Files::of(&host), &source, &target).await;
        assert!(matches!(copied.failed[..], [(_, TransferError::Connection(_))]), "{shell:?}: {copied:?}");
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(here.path()), [".file.eice-part", "file"]);
        host.cut_output_after(None);
        let copied = download(&Files::of(&host), &source, &target).await;
        assert!(copied.resumed_at > 1_000_000, "{shell:?}: {copied:?}");
        assert!(fs::read(&target).unwrap() == content);
        assert_eq!(names(here.path()), ["file"]);
        host.wait_until_idle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tree_copies_both_ways() {
    for shell in SHELLS {
        let host = ShellHost::new(shell);
        let files = Files::of(&host);
        let here = tempfile::tempdir().unwrap();
        let tree = here.path().join("tree");
        fs::create_dir_all(tree.join("sub/empty")).unwrap();
        for number in 0..150_usize {
            fs::write(tree.join(format!("sub/{number}")), noise(number * 37)).unwrap();
        }
        fs::write(tree.join("large"), noise(LARGE)).unwrap();
        fs::set_permissions(tree.join("large"), Permissions::from_mode(0o751)).unwrap();
        std::os::unix::fs::symlink("large", tree.join("link")).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        fs::File::open(tree.join("sub")).unwrap().set_modified(old).unwrap();
        fs::File::open(tree.join("large")).unwrap().set_modified(old).unwrap();
        // A folder blocks one of the files.
        fs::create_dir_all(host.home().join("to/tree/sub/7")).unwrap();
        let events = Mutex::new((0, 0, Vec::new()));
        let observer = |event: CopyEvent<'_>| {
            let mut events = events.lock().unwrap();
            match event {
                CopyEvent::Planned { bytes, .. } => events.0 = bytes,
                CopyEvent::Moved(bytes) => events.1 += bytes,
                CopyEvent::Skipped { path, .. } | CopyEvent::Failed { path, .. } => {
                    events.2.push(path.to_owned())
                }
            }
        };
        let options = CopyOptions::new(true, true);
        let copied =
            files.upload(std::slice::from_ref(&tree), &remote("to/"), options, &observer).await.unwrap();
        assert_eq!(
            (copied.files, copied.folders, copied.skipped.len()),
            (150, 3, 1),
            "{shell:?}: {copied:?}"
        );
        assert!(
            matches!(&copied.failed[..], [(path, TransferError::Folder { .. })] if path.ends_with("sub/7")),
            "{copied:?}"
        );
        {
            let events = events.lock().unwrap();
            assert_eq!(events.0, events.1, "every byte is reported");
            assert_eq!(events.2.len(), 2);
        }
        let there = host.home().join("to/tree");
        fs::remove_dir(there.join("sub/7")).unwrap();
        for number in (0..150_usize).filter(|number| *number != 7) {
            assert!(fs::read(there.join(format!("sub/{number}"))).unwrap() == noise(number * 37), "{number}");
        }
        let large = fs::metadata(there.join("large")).unwrap();
        assert_eq!((large.mode() & 0o7777, large.mtime()), (0o751, 1_000_000), "{shell:?}");
        assert!(!there.join("link").exists());

        std::os::unix::fs::symlink("large", there.join("link")).unwrap();
        fs::File::open(there.join("sub")).unwrap().set_modified(old).unwrap();
        let back = here.path().join("back");
        let sources = [remote(&there), remote("none")];
        let copied = files.download(&sources, &back, options, &|_| {}).await.unwrap();
        assert_eq!(
            (copied.files, copied.folders, copied.skipped.len()),
            (150, 3, 1),
            "{shell:?}: {copied:?}"
        );
        assert!(matches!(&copied.failed[..], [(_, TransferError::Remote { .. })]), "{copied:?}");
        for number in (0..150_usize).filter(|number| *number != 7) {
            assert!(
                fs::read(back.join(format!("tree/sub/{number}"))).unwrap() == noise(number * 37),
                "{number}"
            );
        }
        assert!(fs::read(back.join("tree/large")).unwrap() == noise(LARGE));
        assert_eq!(fs::metadata(back.join("tree/sub")).unwrap().mtime(), 1_000_000, "{shell:?}");
        assert!(!back.join("tree/link").exists());
        assert!(host.most_at_once() <= MAX_CHANNELS);
        host.wait_until_idle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_channels_are_retried() {
    for limit in [1, 2] {
        let host = ShellHost::with_max_channels(limit);
        let files = Files::of(&host);
        let here = tempfile::tempdir().unwrap();
        let sources: Vec<PathBuf> = (0..6).map(|n| here.path().join(n.to_string())).collect();
        for source in &sources {
            fs::write(source, noise(LARGE)).unwrap();
        }
        let copied = files.upload(&sources, &remote("to"), CopyOptions::default(), &|_| {}).await.unwrap();
        assert_eq!((copied.files, copied.failed.len()), (6, 0), "{copied:?}");
        assert_eq!(host.most_at_once(), limit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workspace_files_fail_separately() {
    let host = ShellHost::with_root("/opt/configs");
    let file = |path: &str, content: &[u8]| File::new(path.parse().unwrap(), content.to_vec());
    let mut files: Vec<_> = (0..100).map(|n| file(&format!("many/{n}"), &noise(n * 40))).collect();
    files.push(file("it's; $(id).md", b"quoted"));
    files.push(file("large", &noise(LARGE)));
    fs::create_dir_all(host.root().join("in the way")).unwrap();
    files.push(file("in the way", b"x"));
    let results =
        workspace::write_all(&host, workspace::folder("langgraph"), &files, Duration::from_secs(60)).await;
    assert!(results[..102].iter().all(Result::is_ok), "{results:?}");
    assert!(matches!(results[102], Err(TransferError::Folder { .. })));
    for file in &files[..102] {
        let path = host.root().join(file.path.as_str());
        assert!(fs::read(&path).unwrap() == file.content, "{path:?}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
    }
    // Nothing answers in time: each file reports it, and none is half written.
    host.hold_output();
    let results =
        workspace::write_all(&host, workspace::folder(""), &files[100..102], Duration::from_millis(200))
            .await;
    assert!(results.iter().all(|result| matches!(result, Err(TransferError::Timeout { .. }))), "{results:?}");
    assert!(fs::read(host.root().join("large")).unwrap() == noise(LARGE));
}
