//! `eice cp` as a person and a script have it, to a real sshd and into a container of a real Docker engine.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use eice::emulator::{CloseAfter, CloseForm};
use eice::files::workspace::{self, File};
use eice::files::{Attributes, Error, Files, Mode, RemotePath};
use eice::terminal::Host;
use rustix::process::Signal;

use crate::lab::{
    Census, Container, Docker, INSTANCE, Process, Sshd, Station, Tty, eice, eventually, run_ok, text,
};

/// Bytes that no two places of a file have in common.
fn noise(len: usize) -> Vec<u8> {
    let mut seed = len as u64;
    std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    })
    .take(len)
    .collect()
}

/// All that is below `folder`, by its path there.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(folder).unwrap().display().to_string());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The one line of JSON that a copy printed.
#[track_caller]
fn told(output: &Output) -> serde_json::Value {
    let line = text(&output.stdout);
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?} {}", text(&output.stderr)))
}

impl Station {
    /// Where a relative path of the instance is on this machine.
    fn there(&self, path: &str) -> PathBuf {
        self.sshd.home().join(path)
    }

    /// `eice cp ARGS`, in which `@` stands for `USER@INSTANCE`.
    async fn cp(&self, args: &[&str]) -> Output {
        self.cp_with(args, Vec::new()).await
    }

    async fn cp_with(&self, args: &[&str], stdin: Vec<u8>) -> Output {
        let args = self.words(args);
        self.run(&args.iter().map(String::as_str).collect::<Vec<_>>(), stdin).await
    }

    fn words(&self, args: &[&str]) -> Vec<String> {
        let words = args.iter().map(|word| match word.strip_prefix("@:") {
            Some(path) => format!("{}:{path}", self.destination),
            None => (*word).to_owned(),
        });
        std::iter::once("cp".to_owned()).chain(words).collect()
    }

    fn spawn_cp(&self, args: &[&str]) -> Child {
        let mut command = eice(self.here(), &self.env());
        command.args(self.words(args)).current_dir(self.here());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

#[track_caller]
fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_folders_go_where_they_are_meant_to_both_ways() {
    let station = Station::start().await;
    let here = station.here().to_owned();
    fs::create_dir_all(here.join("site/css/none")).unwrap();
    fs::write(here.join("site/index.html"), noise(10_000)).unwrap();
    fs::write(here.join("site/css/a b.css"), "x").unwrap();
    fs::write(here.join("site/large"), noise(3 << 20)).unwrap();
    fs::set_permissions(here.join("site/large"), Permissions::from_mode(0o751)).unwrap();
    fs::write(here.join("a:b"), "colon").unwrap();
    // A name of its own, in a folder that is not there yet.
    succeeded(&station.cp(&["site/index.html", "@:new/place/renamed"]).await);
    assert!(fs::read(station.there("new/place/renamed")).unwrap() == noise(10_000));
    // Into a folder: because it is one, because of the slash, because there are several.
    succeeded(&station.cp(&["site/large", "@:new"]).await);
    assert_eq!(fs::metadata(station.there("new/large")).unwrap().mode() & 0o777, 0o751);
    succeeded(&station.cp(&["./a:b", "@:other/"]).await);
    succeeded(&station.cp(&["./a:b", "site/index.html", "@:several"]).await);
    assert_eq!(tree(&station.there("several")), ["a:b", "index.html"]);
    assert_eq!(tree(&station.there("other")), ["a:b"]);
    // Folders: a new name, into one, and only what is in it.
    let output = station.cp(&["-rp", "--json", "site", "@:copy"]).await;
    succeeded(&output);
    let json = told(&output);
    assert_eq!((&json["files"], &json["folders"]), (&3.into(), &3.into()), "{json}");
    assert_eq!(tree(&station.there("copy")), tree(&here.join("site")));
    assert!(fs::read(station.there("copy/large")).unwrap() == noise(3 << 20));
    let mtime = |path: &Path| fs::metadata(path).unwrap().mtime();
    assert_eq!(mtime(&station.there("copy/css")), mtime(&here.join("site/css")));
    succeeded(&station.cp(&["-r", "site", "@:copy"]).await);
    assert_eq!(tree(&station.there("copy/site")), tree(&here.join("site")));
    succeeded(&station.cp(&["-r", "site/.", "@:inside"]).await);
    assert_eq!(tree(&station.there("inside")), tree(&here.join("site")));
    // And back.
    succeeded(&station.cp(&["-rp", "@:copy/site", "back"]).await);
    assert_eq!(tree(&here.join("back")), tree(&here.join("site")));
    assert!(fs::read(here.join("back/large")).unwrap() == noise(3 << 20));
    succeeded(&station.cp(&["@:inside/index.html", "@:other/a:b", "got/"]).await);
    assert_eq!(tree(&here.join("got")), ["a:b", "index.html"]);
    succeeded(&station.cp(&["@:inside/index.html", "."]).await);
    assert!(fs::read(here.join("index.html")).unwrap() == noise(10_000));
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_is_a_file_when_it_has_come_to_its_end() {
    let station = Station::start().await;
    let data = noise(5 << 20);
    let output = station.cp_with(&["-", "@:piped"], data.clone()).await;
    succeeded(&output);
    assert!(fs::read(station.there("piped")).unwrap() == data);
    let output = station.cp(&["@:piped", "-"]).await;
    assert!(output.stdout == data, "{} bytes: {}", output.stdout.len(), text(&output.stderr));
    succeeded(&station.cp_with(&["-", "@:empty"], Vec::new()).await);
    assert_eq!(fs::metadata(station.there("empty")).unwrap().len(), 0);
    let output = station.cp(&["@:none", "-"]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(66), 0), "{}", text(&output.stderr));
    assert_eq!(tree(&station.sshd.home()), ["empty", "piped"]);
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_in_the_far_sides_words_and_the_rest_is_copied() {
    let station = Station::start().await;
    let here = station.here();
    for name in ["a", "b", "c"] {
        fs::write(here.join(name), name).unwrap();
    }
    fs::create_dir_all(station.there("to/b")).unwrap();
    fs::set_permissions(station.there("to"), Permissions::from_mode(0o777)).unwrap();
    let output = station.cp(&["--json", "a", "b", "missing", "c", "@:to"]).await;
    let (json, said) = (told(&output), text(&output.stderr));
    assert_eq!(output.status.code(), Some(66), "{said}");
    assert_eq!((&json["files"], &json["failed"].as_array().unwrap().len()), (&2.into(), &2), "{json}");
    assert!(said.contains("missing: No such file") && said.contains("is a folder"), "{said}");
    assert_eq!(fs::read(station.there("to/c")).unwrap(), b"c");
    let output = station.cp(&["a", "@:/proc/x/y"]).await;
    assert!(!output.status.success());
    let output = station.cp(&["a", "@:/etc/eice-test"]).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains("ermission denied") && said.contains("hint: "), "{said}");
    assert!(!said.contains("ssh") && !said.contains("aws"), "{said}");
    for (args, code) in [(&["to", "@:x"][..], 66), (&["a", "b"], 64), (&["@:to", "back"], 64)] {
        let output = station.cp(args).await;
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
    }
    // Nothing unfinished is left anywhere.
    assert_eq!(tree(&station.sshd.home()), ["to", "to/a", "to/b", "to/c"]);
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_the_old_file_and_no_part() {
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

const LARGE: usize = 64 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_cut_in_the_middle_leaves_the_old_file_and_the_next_run_goes_on() {
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
async fn a_signal_ends_a_copy_and_what_has_arrived_waits() {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_one_bar_and_its_end() {
    let station = Station::start().await;
    fs::write(station.here().join("large"), noise(8 << 20)).unwrap();
    station.world.emulator.faults().update(|faults| faults.rate = Some(8 << 20));
    let target = format!("{}:file", station.destination);
    let source = station.here().join("large");
    let args = ["cp", source.to_str().unwrap(), &target];
    let mut tty = Tty::start(&args, &station.env(), station.here(), None);
    tty.until("MiB/s");
    assert_eq!(tty.ends().code(), Some(0));
    assert!(tty.said().contains("8.00 MiB"), "{:?}", tty.said());
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_few_sessions_is_enough() {
    for sessions in [1, 2] {
        let station = Station::of(Sshd::with(&format!("MaxSessions {sessions}"), &[])).await;
        let names: Vec<String> = (0..5).map(|n| format!("f{n}")).collect();
        for name in &names {
            fs::write(station.here().join(name), noise(300_000)).unwrap();
        }
        let mut args: Vec<&str> = names.iter().map(String::as_str).collect();
        args.push("@:to/");
        succeeded(&station.cp(&args).await);
        assert_eq!(tree(&station.there("to")), names);
        station.is_idle();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_copied_to_and_from_and_keeps_no_process() {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
    let container = Container::start(Docker::SH, "WORKSPACE=7");
    let station = Station::of(sshd).await;
    let here = station.here();
    fs::create_dir_all(here.join("d/e")).unwrap();
    let data = noise(2 << 20);
    fs::write(here.join("d/large"), &data).unwrap();
    for number in 0..30 {
        fs::write(here.join(format!("d/e/{number} it's")), noise(number * 100)).unwrap();
    }
    let inside = ["--container", container.name.as_str()];
    succeeded(&station.cp(&[&inside[..], &["-r", "d", "@:/tmp/copy"]].concat()).await);
    succeeded(&station.cp(&[&inside[..], &["-r", "@:/tmp/copy", "back"]].concat()).await);
    assert_eq!(tree(&here.join("back")), tree(&here.join("d")));
    assert!(fs::read(here.join("back/large")).unwrap() == data);
    container.is_idle();
    // Cut in the middle, the part waits in the container, and nothing runs there.
    station.world.emulator.faults().update(|faults| {
        faults.close_after_up = Some(CloseAfter { bytes: 1 << 20, form: CloseForm::Fin });
    });
    let output = station.cp(&[&inside[..], &["d/large", "@:/tmp/new"]].concat()).await;
    assert_eq!(output.status.code(), Some(69), "{}", text(&output.stderr));
    container.is_idle();
    station.world.emulator.faults().clear();
    let output = station.cp(&[&inside[..], &["--json", "d/large", "@:/tmp/new"]].concat()).await;
    succeeded(&output);
    assert!(told(&output)["resumed_at"].as_u64().unwrap() > 0, "{}", told(&output));
    container.is_idle();
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspaces_files_go_over_one_connection_each_whole_or_not_at_all() {
    let station = Station::start().await;
    let before: Census = station.world.census().await;
    let tunnels = || {
        let records = station.world.emulator.records();
        records.iter().filter(|record| record.event_name == "OpenTunnel").count()
    };
    let opened = tunnels();
    let host = station.world.host(&station.world.target()).await;
    let files: Vec<_> = (0..100)
        .map(|n| File::new(format!("dir {}/it's {n}", n % 7).parse().unwrap(), noise(4096)))
        .collect();
    // The platform's own folders are not this user's: each file says so, in the far side's words.
    let results =
        workspace::write_all(&*host, workspace::folder("langgraph"), &files, workspace::WRITE_TIMEOUT).await;
    assert_eq!(results.len(), files.len());
    for result in results {
        let Err(Error::Remote { words, .. }) = result else { panic!("{result:?}") };
        assert!(words.contains("ermission denied"), "{words}");
    }
    let there = Files::of(&*host);
    let path = RemotePath::new("~/x/y").unwrap();
    let with = Attributes::new(Mode::Exactly(0o644));
    there.write(&path, "text".into(), with).await.unwrap();
    assert_eq!(there.read(&path, 10).await.unwrap(), b"text");
    drop(there);
    // One that is given up on the way leaves its part under the name that another attempt looks for.
    station.world.emulator.faults().update(|faults| faults.rate = Some(4 << 20));
    let slow = station.world.connector.connect_ssh(&station.world.target(), &|_| {}).await.unwrap();
    let there = Files::of(&slow);
    let writing = there.write(&path, noise(LARGE).into(), with);
    assert!(tokio::time::timeout(Duration::from_secs(2), writing).await.is_err());
    eventually("it tidied up", || (tree(&station.there("x")) == [".y.eice-part", "y"]).then_some(()));
    assert_eq!(fs::read(station.there("x/y")).unwrap(), b"text");
    drop(there);
    slow.close().await;
    drop(slow);
    station.world.emulator.faults().clear();
    host.close().await;
    drop(host);
    assert_eq!(tunnels() - opened, 2, "a connection for each host, and no more");
    station.is_idle();
    before.is_restored().await;
    assert_eq!(INSTANCE, station.world.instance().as_str());
}
