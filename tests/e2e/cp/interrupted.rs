//! Interrupted copies: the old file stays, and the next run resumes where possible.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use eice::emulator::{CloseAfter, CloseForm};
use rustix::process::Signal;

use super::{LARGE, noise, report, succeeded, tree};
use crate::lab::{ClientMachine, Process, eventually, run_ok, text, wait_for_exit};

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_keeps_old_file() {
    let client = ClientMachine::start().await;
    let disk = client.there("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Mount::tmpfs(&disk);
    fs::set_permissions(&disk, Permissions::from_mode(0o777)).unwrap();
    fs::write(disk.join("file"), "old").unwrap();
    fs::set_permissions(disk.join("file"), Permissions::from_mode(0o666)).unwrap();
    fs::write(client.here().join("large"), noise(4 << 20)).unwrap();
    fs::write(client.here().join("small"), noise(100_000)).unwrap();
    fs::write(disk.join("filler"), vec![0; 960 << 10]).unwrap();
    for source in ["large", "small"] {
        let output = client.cp(&[source, "@:disk/file"]).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(said.contains("No space left") || said.contains("what arrived"), "{said}");
        assert_eq!(fs::read(disk.join("file")).unwrap(), b"old");
        assert_eq!(tree(&disk), ["file", "filler"], "{source}");
    }
    client.is_idle();
    drop(mount);
}

/// A small mounted file system.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(at: &Path) -> Self {
        run_ok("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", at.to_str().unwrap()]);
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run_ok("umount", [self.0.to_str().unwrap()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_tunnel_keeps_old_file_and_resumes() {
    let client = ClientMachine::start().await;
    let data = noise(LARGE);
    fs::write(client.here().join("large"), &data).unwrap();
    fs::write(client.there("file"), "old").unwrap();
    let faults = client.world.emulator.faults();
    let half = CloseAfter { bytes: LARGE as u64 / 2, form: CloseForm::Rst };

    faults.update(|faults| faults.close_after_up = Some(half.clone()));
    let output = client.cp(&["large", "@:file"]).await;
    assert_eq!(output.status.code(), Some(69), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("run it again"), "{}", text(&output.stderr));
    client.is_idle();
    assert_eq!(fs::read(client.there("file")).unwrap(), b"old");
    assert_eq!(tree(&client.sshd.home()), [".file.eice-part", "file"]);
    // Only the missing part is sent: a full copy would be cut again after two thirds.
    faults.update(|faults| {
        faults.close_after_up = Some(CloseAfter { bytes: LARGE as u64 * 2 / 3, ..half.clone() });
    });
    let output = client.cp(&["--json", "large", "@:file"]).await;
    succeeded(&output);
    let resumed = report(&output)["resumed_at"].as_u64().unwrap();
    assert!(resumed > LARGE as u64 / 3, "{resumed}");
    assert!(fs::read(client.there("file")).unwrap() == data);
    assert_eq!(tree(&client.sshd.home()), ["file"]);

    // The same for a download.
    faults.clear();
    faults.update(|faults| faults.close_after = Some(half.clone()));
    fs::write(client.here().join("back"), "old").unwrap();
    let output = client.cp(&["@:file", "back"]).await;
    assert_eq!(output.status.code(), Some(69), "{}", text(&output.stderr));
    assert_eq!(fs::read(client.here().join("back")).unwrap(), b"old");
    faults.update(|faults| {
        faults.close_after = Some(CloseAfter { bytes: LARGE as u64 * 2 / 3, ..half.clone() });
    });
    let output = client.cp(&["--json", "@:file", "back"]).await;
    succeeded(&output);
    let resumed = report(&output)["resumed_at"].as_u64().unwrap();
    assert!(resumed > LARGE as u64 / 3, "{resumed}");
    assert!(fs::read(client.here().join("back")).unwrap() == data);
    assert!(!client.here().join(".back.eice-part").exists());
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_keeps_partial_file() {
    let client = ClientMachine::start().await;
    fs::write(client.here().join("large"), noise(LARGE)).unwrap();
    fs::write(client.there("file"), "old").unwrap();
    client.world.emulator.faults().update(|faults| faults.rate = Some(16 << 20));
    let mut taken = 0;
    for (signal, status) in [(Signal::INT, Some(130)), (Signal::TERM, Some(143)), (Signal::KILL, None)] {
        let mut child = client.spawn_cp(&["large", "@:file"]);
        // It appends to the partial file of the run before.
        eventually("it is on its way", || {
            let entries = fs::read_dir(client.sshd.home()).unwrap().map(|entry| entry.unwrap());
            let growing =
                entries.filter(|entry| !["file", ".file.eice-part"].iter().any(|n| entry.file_name() == *n));
            let size = growing.filter_map(|entry| Some(entry.metadata().ok()?.len())).max();
            size.filter(|size| *size > taken + (1 << 20))
        });
        Process::find(child.id()).unwrap().signal(signal);
        assert_eq!(wait_for_exit(&mut child).code(), status);
        client.is_idle();
        assert_eq!(fs::read(client.there("file")).unwrap(), b"old");
        assert_eq!(tree(&client.sshd.home()), [".file.eice-part", "file"], "{signal:?}");
        taken = fs::metadata(client.there(".file.eice-part")).unwrap().len();
    }
    client.world.emulator.faults().clear();
    let output = client.cp(&["--json", "large", "@:file"]).await;
    succeeded(&output);
    assert!(report(&output)["resumed_at"].as_u64().unwrap() > 3 << 20);
    client.is_idle();
}
