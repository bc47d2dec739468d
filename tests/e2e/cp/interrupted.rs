//! Copies that come to no end: the old file stays, and the next run goes on where that is possible.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use eice::emulator::{CloseAfter, CloseForm};
use rustix::process::Signal;

use super::{LARGE, noise, succeeded, told, tree};
use crate::lab::{Process, Station, eventually, run_ok, text};

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_keeps_old_file() {
    let station = Station::start().await;
    let disk = station.there("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Mount::tmpfs(&disk);
    fs::set_permissions(&disk, Permissions::from_mode(0o777)).unwrap();
    fs::write(disk.join("file"), "old").unwrap();
    fs::set_permissions(disk.join("file"), Permissions::from_mode(0o666)).unwrap();
    fs::write(station.here().join("large"), noise(4 << 20)).unwrap();
    fs::write(station.here().join("small"), noise(100_000)).unwrap();
    fs::write(disk.join("filler"), vec![0; 960 << 10]).unwrap();
    for source in ["large", "small"] {
        let output = station.cp(&[source, "@:disk/file"]).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(said.contains("No space left") || said.contains("what arrived"), "{said}");
        assert_eq!(fs::read(disk.join("file")).unwrap(), b"old");
        assert_eq!(tree(&disk), ["file", "filler"], "{source}");
    }
    station.is_idle();
    drop(mount);
}

/// A small file system of its own.
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
    let station = Station::start().await;
    let data = noise(LARGE);
    fs::write(station.here().join("large"), &data).unwrap();
    fs::write(station.there("file"), "old").unwrap();
    let faults = station.world.emulator.faults();
    let half = CloseAfter { bytes: LARGE as u64 / 2, form: CloseForm::Rst };

    faults.update(|faults| faults.close_after_up = Some(half.clone()));
    let output = station.cp(&["large", "@:file"]).await;
    assert_eq!(output.status.code(), Some(69), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("run it again"), "{}", text(&output.stderr));
    station.is_idle();
    assert_eq!(fs::read(station.there("file")).unwrap(), b"old");
    assert_eq!(tree(&station.sshd.home()), [".file.eice-part", "file"]);
    // Only what was missing crosses: with twice a third of it the tunnel would be cut again.
    faults.update(|faults| {
        faults.close_after_up = Some(CloseAfter { bytes: LARGE as u64 * 2 / 3, ..half.clone() });
    });
    let output = station.cp(&["--json", "large", "@:file"]).await;
    succeeded(&output);
    let resumed = told(&output)["resumed_at"].as_u64().unwrap();
    assert!(resumed > LARGE as u64 / 3, "{resumed}");
    assert!(fs::read(station.there("file")).unwrap() == data);
    assert_eq!(tree(&station.sshd.home()), ["file"]);

    // The same the other way.
    faults.clear();
    faults.update(|faults| faults.close_after = Some(half.clone()));
    fs::write(station.here().join("back"), "old").unwrap();
    let output = station.cp(&["@:file", "back"]).await;
    assert_eq!(output.status.code(), Some(69), "{}", text(&output.stderr));
    assert_eq!(fs::read(station.here().join("back")).unwrap(), b"old");
    faults.update(|faults| {
        faults.close_after = Some(CloseAfter { bytes: LARGE as u64 * 2 / 3, ..half.clone() });
    });
    let output = station.cp(&["--json", "@:file", "back"]).await;
    succeeded(&output);
    let resumed = told(&output)["resumed_at"].as_u64().unwrap();
    assert!(resumed > LARGE as u64 / 3, "{resumed}");
    assert!(fs::read(station.here().join("back")).unwrap() == data);
    assert!(!station.here().join(".back.eice-part").exists());
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_keeps_partial_file() {
    let station = Station::start().await;
    fs::write(station.here().join("large"), noise(LARGE)).unwrap();
    fs::write(station.there("file"), "old").unwrap();
    station.world.emulator.faults().update(|faults| faults.rate = Some(16 << 20));
    let mut taken = 0;
    for (signal, status) in [(Signal::INT, Some(130)), (Signal::TERM, Some(143)), (Signal::KILL, None)] {
        let mut child = station.spawn_cp(&["large", "@:file"]);
        // It has taken the part of the run before it, and adds to it.
        eventually("it is on its way", || {
            let entries = fs::read_dir(station.sshd.home()).unwrap().map(|entry| entry.unwrap());
            let growing =
                entries.filter(|entry| !["file", ".file.eice-part"].iter().any(|n| entry.file_name() == *n));
            let size = growing.filter_map(|entry| Some(entry.metadata().ok()?.len())).max();
            size.filter(|size| *size > taken + (1 << 20))
        });
        Process::find(child.id()).unwrap().signal(signal);
        assert_eq!(child.wait().unwrap().code(), status);
        station.is_idle();
        assert_eq!(fs::read(station.there("file")).unwrap(), b"old");
        assert_eq!(tree(&station.sshd.home()), [".file.eice-part", "file"], "{signal:?}");
        taken = fs::metadata(station.there(".file.eice-part")).unwrap().len();
    }
    station.world.emulator.faults().clear();
    let output = station.cp(&["--json", "large", "@:file"]).await;
    succeeded(&output);
    assert!(told(&output)["resumed_at"].as_u64().unwrap() > 3 << 20);
    station.is_idle();
}
