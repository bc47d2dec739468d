//! The scripts and all that uses them, by real shells with their own tools on this machine: dash and bash with coreutils,
//! busybox with its own.

mod far;

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::workspace::{self, File};
use super::{Attributes, Copied, CopyEvent, CopyOptions, Error, Files, Kind, MAX_CHANNELS, Mode, RemotePath};
use far::{Far, SHELLS};

fn remote(path: impl AsRef<Path>) -> RemotePath {
    RemotePath::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

fn exactly(mode: u32) -> Attributes {
    Attributes::new(Mode::Exactly(mode))
}

/// All names in `folder`, hidden ones included.
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
async fn the_sum_may_arrive_before_the_file() {
    for shell in SHELLS {
        let far = Far::new(shell);
        far.say_stderr_first();
        fs::write(far.home().join("file"), "content").unwrap();
        assert_eq!(Files::of(&far).read(&remote("file"), 100).await.unwrap(), b"content", "{shell:?}");
        let error = Files::of(&far).read(&remote("none"), 100).await.unwrap_err();
        assert!(matches!(&error, Error::Remote { words, .. } if words.contains("o such file")), "{error}");
    }
}

const LARGE: usize = 700_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_and_nothing_else_is_left() {
    for shell in SHELLS {
        let far = Far::new(shell);
        let files = Files::of(&far);
        let target = far.home().join("deep/er/a b");
        for content in [noise(LARGE), Vec::new(), b"x".to_vec()] {
            let done = files.write(&remote(&target), content.clone().into(), exactly(0o640)).await.unwrap();
            assert_eq!((done.size, done.resumed_at), (content.len() as u64, 0), "{shell:?}");
            assert!(fs::read(&target).unwrap() == content, "{shell:?}");
            assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o640, "{shell:?}");
            assert!(files.read(&remote(&target), 1 << 20).await.unwrap() == content, "{shell:?}");
        }
        assert_eq!(fs::metadata(far.home().join("deep")).unwrap().mode() & 0o777, 0o755, "as install -D");
        fs::set_permissions(&target, Permissions::from_mode(0o604)).unwrap();
        let dated = Attributes { mode: Mode::Keep(0o777), modified: Some(1_000_000) };
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
        assert_eq!(fs::metadata(far.home().join("empty")).unwrap().len(), 0);
        assert_eq!(names(&far.home().join("deep/er")), ["a b"], "{shell:?}");
        assert!(matches!(files.read(&remote(&target), 10).await, Err(Error::TooMuch(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_names() {
    let odd: [&[u8]; 9] =
        [b"-rf", b"a\nb", b"$(id)", b"it's", b" ", b"\\n", b"\xff\xfe", "\u{e9}*".as_bytes(), b"n\n4711 ok"];
    for shell in SHELLS {
        let far = Far::new(shell);
        let files = Files::of(&far);
        for name in odd {
            let path = RemotePath::new(name).unwrap();
            files.write(&path, name.to_vec().into(), exactly(0o600)).await.unwrap();
            let content = files.read(&path, 100).await.unwrap();
            assert_eq!(content, name, "{shell:?}");
        }
        assert_eq!(fs::read_dir(far.home()).unwrap().count(), odd.len());
        let listed = files.list(&[remote(far.home())], true).await.unwrap().pop().unwrap().unwrap();
        let mut below: Vec<_> = listed.iter().skip(1).map(|entry| entry.below.clone()).collect();
        below.sort();
        let mut expected: Vec<_> = odd.map(<[u8]>::to_vec).to_vec();
        expected.sort();
        assert_eq!(below, expected, "{shell:?}");
        // And back again, all in one batch.
        let here = tempfile::tempdir().unwrap();
        let target = here.path().join("copy");
        let copied = download(&files, far.home(), &target).await;
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
async fn what_cannot_be_written_says_why_and_stays_as_it_was() {
    for shell in SHELLS {
        let far = Far::new(shell);
        let files = Files::of(&far);
        fs::write(far.home().join("file"), "old").unwrap();
        let write = async |path: &str, content: Vec<u8>| {
            files.write(&remote(path), content.into(), exactly(0o600)).await
        };
        let error = write("file/below", noise(10)).await.unwrap_err();
        assert!(matches!(&error, Error::Remote { words, .. } if words.contains("ile")), "{shell:?}: {error}");
        fs::create_dir(far.home().join("folder")).unwrap();
        assert!(matches!(write("folder", noise(10)).await, Err(Error::Folder { .. })), "{shell:?}");
        assert!(matches!(write("/dev/null", noise(10)).await, Err(Error::Special { .. })), "{shell:?}");
        assert!(matches!(files.read(&remote("/dev/zero"), 1).await, Err(Error::Special { .. })), "{shell:?}");
        let error = files.read(&remote("none"), 1).await.unwrap_err();
        assert!(
            matches!(&error, Error::Remote { words, .. } if words.contains("o such file")),
            "{shell:?}: {error}"
        );
        assert_eq!(error.fault(), crate::model::Fault::NotFound);
        assert_eq!(files.stat(&remote("none")).await.unwrap(), None);
        assert_eq!(files.stat(&remote("file")).await.unwrap().unwrap().kind, Kind::File);
        assert_eq!(fs::read(far.home().join("file")).unwrap(), b"old");
        assert_eq!(names(far.home()), ["file", "folder"], "{shell:?}");
    }
    // Busybox's shell has all of its tools by itself.
    for shell in &SHELLS[..2] {
        let bare = Far::without_tool(shell, "sha256sum");
        let error = Files::of(&bare).write(&remote("x"), "x".into(), exactly(0o600)).await.unwrap_err();
        assert!(matches!(&error, Error::NoTool { tool } if tool == "sha256sum"), "{shell:?}: {error}");
        let error = Files::of(&bare).read(&remote("x"), 1).await.unwrap_err();
        assert!(matches!(error, Error::NoTool { .. }), "{shell:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_cut_leaves_the_old_file_and_goes_on_from_there() {
    for shell in SHELLS {
        let far = Far::new(shell);
        let target = far.home().join("file");
        fs::write(&target, "old").unwrap();
        let content = noise(4_000_000);
        far.cut_input_after(Some(1_500_000));
        let cut = Files::of(&far).write(&remote("file"), content.clone().into(), exactly(0o600)).await;
        assert!(matches!(cut, Err(Error::Connection(_))), "{shell:?}: {cut:?}");
        far.is_idle().await;
        assert_eq!(fs::read(&target).unwrap(), b"old", "{shell:?}");
        assert_eq!(names(far.home()), [".file.eice-part", "file"], "{shell:?}");
        far.cut_input_after(None);
        let done =
            Files::of(&far).write(&remote("file"), content.clone().into(), exactly(0o600)).await.unwrap();
        assert!(done.resumed_at > 1_000_000, "{shell:?}: {done:?}");
        assert!(fs::read(&target).unwrap() == content);
        assert_eq!(names(far.home()), ["file"], "{shell:?}");

        // A part of another file is not built upon, nor is one that is too long or another's.
        for part in [noise(5000), noise(5_000_000)] {
            fs::write(far.home().join(".file.eice-part"), part).unwrap();
            let done = Files::of(&far).write(&remote("file"), content.clone().into(), exactly(0o600)).await;
            assert_eq!(done.unwrap().resumed_at, 0, "{shell:?}");
            assert!(fs::read(&target).unwrap() == content);
            assert_eq!(names(far.home()), ["file"], "{shell:?}");
        }
        fs::write(far.home().join("victim"), "mine").unwrap();
        std::os::unix::fs::symlink("victim", far.home().join(".file.eice-part")).unwrap();
        Files::of(&far).write(&remote("file"), content.clone().into(), exactly(0o600)).await.unwrap();
        assert_eq!(fs::read(far.home().join("victim")).unwrap(), b"mine", "{shell:?}");

        // Where no size is known nothing is kept of it.
        far.cut_input_after(Some(150_000));
        let pieces = vec![noise(100_000); 5];
        let cut = Files::of(&far)
            .write_stream(stream(pieces).await, &remote("piped"), exactly(0o600), &|_| {})
            .await;
        assert!(cut.is_err(), "{shell:?}");
        far.is_idle().await;
        assert!(!far.home().join("piped").exists(), "{shell:?}");
        assert!(names(far.home()).iter().all(|name| !name.contains("piped")), "{:?}", names(far.home()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_is_cut_goes_on_from_there() {
    for shell in SHELLS {
        let far = Far::new(shell);
        let here = tempfile::tempdir().unwrap();
        let (source, target) = (far.home().join("file"), here.path().join("file"));
        let content = noise(4_000_000);
        fs::write(&source, &content).unwrap();
        fs::write(&target, "old").unwrap();
        far.cut_output_after(Some(1_500_000));
        let copied = download(&Files::of(&far), &source, &target).await;
        assert!(matches!(copied.failed[..], [(_, Error::Connection(_))]), "{shell:?}: {copied:?}");
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(here.path()), [".file.eice-part", "file"]);
        far.cut_output_after(None);
        let copied = download(&Files::of(&far), &source, &target).await;
        assert!(copied.resumed_at > 1_000_000, "{shell:?}: {copied:?}");
        assert!(fs::read(&target).unwrap() == content);
        assert_eq!(names(here.path()), ["file"]);
        far.is_idle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_arrives_whole_both_ways_and_failures_are_told_one_by_one() {
    for shell in SHELLS {
        let far = Far::new(shell);
        let files = Files::of(&far);
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
        // Something in the way of one of them.
        fs::create_dir_all(far.home().join("to/tree/sub/7")).unwrap();
        let told = Mutex::new((0, 0, Vec::new()));
        let observer = |event: CopyEvent<'_>| {
            let mut told = told.lock().unwrap();
            match event {
                CopyEvent::Planned { bytes, .. } => told.0 = bytes,
                CopyEvent::Moved(bytes) => told.1 += bytes,
                CopyEvent::Skipped { path, .. } | CopyEvent::Failed { path, .. } => {
                    told.2.push(path.to_owned())
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
            matches!(&copied.failed[..], [(path, Error::Folder { .. })] if path.ends_with("sub/7")),
            "{copied:?}"
        );
        {
            let told = told.lock().unwrap();
            assert_eq!(told.0, told.1, "all of it is told");
            assert_eq!(told.2.len(), 2);
        }
        let there = far.home().join("to/tree");
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
        assert!(matches!(&copied.failed[..], [(_, Error::Remote { .. })]), "{copied:?}");
        for number in (0..150_usize).filter(|number| *number != 7) {
            assert!(
                fs::read(back.join(format!("tree/sub/{number}"))).unwrap() == noise(number * 37),
                "{number}"
            );
        }
        assert!(fs::read(back.join("tree/large")).unwrap() == noise(LARGE));
        assert_eq!(fs::metadata(back.join("tree/sub")).unwrap().mtime(), 1_000_000, "{shell:?}");
        assert!(!back.join("tree/link").exists());
        assert!(far.most_at_once() <= MAX_CHANNELS);
        far.is_idle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_side_with_fewer_channels_is_waited_for() {
    for room in [1, 2] {
        let far = Far::with_room(room);
        let files = Files::of(&far);
        let here = tempfile::tempdir().unwrap();
        let sources: Vec<PathBuf> = (0..6).map(|n| here.path().join(n.to_string())).collect();
        for source in &sources {
            fs::write(source, noise(LARGE)).unwrap();
        }
        let copied = files.upload(&sources, &remote("to"), CopyOptions::default(), &|_| {}).await.unwrap();
        assert_eq!((copied.files, copied.failed.len()), (6, 0), "{copied:?}");
        assert_eq!(far.most_at_once(), room);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspaces_files_are_written_each_by_itself() {
    let far = Far::with_root("/opt/configs");
    let file = |path: &str, content: &[u8]| File::new(path.parse().unwrap(), content.to_vec());
    let mut files: Vec<_> = (0..100).map(|n| file(&format!("many/{n}"), &noise(n * 40))).collect();
    files.push(file("it's; $(id).md", b"quoted"));
    files.push(file("large", &noise(LARGE)));
    fs::create_dir_all(far.root().join("in the way")).unwrap();
    files.push(file("in the way", b"x"));
    let results =
        workspace::write_all(&far, workspace::folder("langgraph"), &files, Duration::from_secs(60)).await;
    assert!(results[..102].iter().all(Result::is_ok), "{results:?}");
    assert!(matches!(results[102], Err(Error::Folder { .. })));
    for file in &files[..102] {
        let path = far.root().join(file.path.as_str());
        assert!(fs::read(&path).unwrap() == file.content, "{path:?}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
    }
    // Nothing answers in time: each says so, and none is half there.
    far.hold_output();
    let results =
        workspace::write_all(&far, workspace::folder(""), &files[100..102], Duration::from_millis(200)).await;
    assert!(results.iter().all(|result| matches!(result, Err(Error::Timeout { .. }))), "{results:?}");
    assert!(fs::read(far.root().join("large")).unwrap() == noise(LARGE));
}
