//! Which host keys are trusted: each mode with each kind of key, the instance console, and exchange with OpenSSH.

mod console;
mod openssh;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use eice::connect::HostKeyMode;
use eice::emulator::{Backend, InstanceSpec};
use eice::model::{Fault, StageEvent};
use eice::ssh::host_keys::{FileHostKeys, Learned};
use serde_json::Value;

use crate::lab::{ClientShell, CommandOutput, EICE, INSTANCE, Sshd, World, fingerprint, run};

/// One instance id, whose server can be replaced.
struct Lab {
    world: World,
    shell: ClientShell,
}

impl Lab {
    async fn new(sshd: &Sshd) -> Self {
        let world = World::of(sshd).await;
        let shell = ClientShell::new(&world);
        Self { world, shell }
    }

    /// Makes `sshd` the instance, with the console output `console`.
    async fn set_instance(&self, sshd: &Sshd, console: Option<String>) {
        let backend = Backend::Forward(sshd.addr);
        let spec = InstanceSpec { backend, console_output: console, ..InstanceSpec::default() };
        self.world.emulator.add_instance(spec).await.unwrap();
        sshd.set_metadata_url(&self.world.emulator.access().metadata_url(&self.world.instance()));
    }

    /// Runs `true` on the instance.
    async fn ssh(&self, sshd: &Sshd, mode: &str) -> CommandOutput {
        let destination = format!("{}@{INSTANCE}", sshd.user.name);
        self.shell.run(&["ssh", "--host-key", mode, &destination, "--", "true"], b"").await
    }

    async fn host_keys(&self, args: &[&str], input: &[u8]) -> CommandOutput {
        self.shell.run(&[&["host-keys"], args].concat(), input).await
    }

    /// Returns the rows of `eice host-keys list`.
    async fn listed(&self) -> Vec<Value> {
        serde_json::from_str(&self.host_keys(&["list", "--json"], b"").await.expect_success()).unwrap()
    }

    fn asked(&self) -> usize {
        self.world.emulator.records().iter().filter(|record| record.event_name == "GetConsoleOutput").count()
    }
}

/// Returns the console text that cloud-init prints for a host key.
fn printed(key: &str) -> String {
    format!(
        "[    0.000000] Linux version 6.1.0\r\nip-10-0-1-23 login: -----BEGIN SSH HOST KEY KEYS-----\r\n\
         {key} root@ip-10-0-1-23\r\n[   31.0] random: crng init done\r\n-----END SSH HOST KEY KEYS-----\r\n"
    )
}

#[track_caller]
fn refused(said: &CommandOutput, code: i32, parts: &[&str]) {
    assert_eq!(said.code, Some(code), "{}", said.stderr);
    for part in parts {
        assert!(said.stderr.contains(part), "no {part:?} in {}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_handle_new_known_and_changed_keys() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let other_kind = Sshd::of_kind("ecdsa", "", &[]);
    for mode in ["strict", "console", "tofu"] {
        let lab = Lab::new(&sshd).await;
        lab.set_instance(&sshd, (mode == "console").then(|| printed(&sshd.host_key()))).await;
        let first = lab.ssh(&sshd, mode).await;
        if mode == "strict" {
            refused(&first, 76, &["is unknown", &fingerprint(&sshd.host_key()), "--host-key console"]);
            let line = format!("{INSTANCE} {}\n", sshd.host_key());
            lab.host_keys(&["import", "-"], line.as_bytes()).await.expect_success();
        } else {
            first.expect_success();
        }
        let origin = [("strict", "pinned"), ("console", "console"), ("tofu", "first-use")];
        let origin = origin.iter().find(|(name, _)| *name == mode).unwrap().1;
        lab.ssh(&sshd, mode).await.expect_success();
        let listed = lab.listed().await;
        assert_eq!(listed.len(), 1, "{mode}: {listed:?}");
        assert_eq!(listed[0]["origin"], origin);
        assert_eq!(listed[0]["fingerprint"], fingerprint(&sshd.host_key()));
        assert!(listed[0]["last_seen"].is_string(), "{listed:?}");
        let account = lab.world.emulator.access().account_id();
        assert_eq!(listed[0]["scope"], format!("aws/{account}/eu-west-1/{INSTANCE}"), "{mode}");

        lab.set_instance(&other_kind, None).await;
        let offered = fingerprint(&sshd.host_key());
        refused(
            &lab.ssh(&other_kind, mode).await,
            76,
            &["no longer offers a host key of the kind", &offered],
        );

        // The console confirms the new key, but the pinned key has priority.
        lab.set_instance(&other, Some(printed(&other.host_key()))).await;
        let changed = lab.ssh(&other, mode).await;
        let both = [&*fingerprint(&sshd.host_key()), &*fingerprint(&other.host_key()), "has changed"];
        refused(&changed, 76, &both);
        assert_eq!(lab.listed().await, listed, "a refused key changes nothing");

        // The hint's command, pasted into a shell.
        let command = changed.stderr.lines().find_map(|line| line.split_once("then: ")).unwrap().1;
        assert!(command.starts_with(&format!("eice host-keys forget {INSTANCE}")), "{command}");
        let pasted = command.replacen("eice", EICE, 1);
        let output = run("sh", ["-c", &pasted]);
        assert!(output.status.success(), "{pasted}: {output:?}");
        assert!(lab.listed().await.is_empty());
        let again = lab.ssh(&other, mode).await;
        assert_eq!(again.code, Some(if mode == "strict" { 76 } else { 0 }), "{mode}: {}", again.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_first_uses_pin_one_key() {
    let world = World::builtin().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.json");
    for mode in [HostKeyMode::TrustOnFirstUse, HostKeyMode::Console] {
        let _ = fs::remove_file(&path);
        let dialled = (0..20).map(|_| {
            // Each with its own store, like separate processes.
            let store = Arc::new(FileHostKeys::new(&path));
            let client = world.client_with(store, |_, _, connect| connect.host_keys = mode);
            let target = world.target();
            tokio::spawn(async move { client.connect_ssh(&target, &|_: StageEvent| {}).await })
        });
        let dialled: Vec<_> = dialled.collect();
        for connecting in dialled {
            let host = connecting.await.unwrap().unwrap_or_else(|error| panic!("{error}: {}", error.chain()));
            eice::model::Host::close(&host).await;
        }
        assert_eq!(FileHostKeys::new(&path).read().unwrap().iter().count(), 1);
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the store and its lock: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_does_not_change_the_pin() {
    let sshd = Sshd::start();
    let lab = Lab::new(&sshd).await;
    let authority = lab.world.emulator.access().tunnel_authority();
    let destination = format!("{}@{INSTANCE}", sshd.user.name);
    let known = [
        "--endpoint-id",
        "eice-0123456789abcdef0",
        "--endpoint-dns-name",
        &authority,
        "--private-ip-address",
        "10.0.1.23",
    ];
    let without = [&["ssh"], &known[..], &[&destination, "--", "true"]].concat();
    lab.shell.run(&without, b"").await.expect_success();
    let scopes = async || lab.listed().await.iter().map(|row| row["scope"].clone()).collect::<Vec<_>>();
    assert_eq!(scopes().await, [format!("aws/-/eu-west-1/{INSTANCE}")]);
    assert_eq!(lab.asked(), 0, "nothing is looked up, the console neither");
    // A changed machine is detected with and without a lookup.
    let other = Sshd::start();
    lab.set_instance(&other, None).await;
    refused(&lab.ssh(&other, "tofu").await, 76, &["has changed"]);
    lab.set_instance(&sshd, None).await;
    lab.ssh(&sshd, "strict").await.expect_success();
    let account = lab.world.emulator.access().account_id();
    let full = format!("aws/{account}/eu-west-1/{INSTANCE}");
    assert_eq!(scopes().await, [full.as_str()], "the pin has moved to the account");
    lab.shell.run(&without, b"").await.expect_success();
    assert_eq!(scopes().await, [full.as_str()]);
    lab.set_instance(&other, None).await;
    refused(&lab.shell.run(&without, b"").await, 76, &["has changed"]);

    // An older version may have left two contradicting pins.
    let store = FileHostKeys::new(lab.shell.file("state/eice/host_keys.json"));
    let text = fs::read_to_string(store.path()).unwrap();
    let mut layout: Value = serde_json::from_str(&text).unwrap();
    let pin = serde_json::json!([{ "key": other.host_key(), "origin": "first-use", "first_seen": 1 }]);
    layout["hosts"][format!("aws/-/eu-west-1/{INSTANCE}")] = pin;
    fs::write(store.path(), layout.to_string()).unwrap();
    let said = lab.ssh(&other, "tofu").await;
    let both = [&*fingerprint(&sshd.host_key()), &*fingerprint(&other.host_key()), "contradict each other"];
    refused(&said, 76, &both);
    let said = lab.host_keys(&["export", INSTANCE], b"").await;
    refused(&said, 76, &["contradict each other"]);
    assert!(said.stdout.is_empty());
    let command = said_command(&lab.ssh(&other, "tofu").await.stderr, &full);
    assert!(run("sh", ["-c", &command.replacen("eice", EICE, 1)]).status.success(), "{command}");
    lab.ssh(&other, "tofu").await.expect_success();
}

/// Returns the command in a hint that forgets `scope`.
fn said_command(stderr: &str, scope: &str) -> String {
    let hint = stderr.lines().find_map(|line| line.trim().strip_prefix("hint: ")).unwrap();
    let commands = hint.split_once("the other: ").unwrap().1;
    commands.split(" or ").find(|command| command.contains(scope)).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn forget_is_atomic_and_all_needs_yes() {
    let sshd = Sshd::start();
    let lab = Lab::new(&sshd).await;
    let store = FileHostKeys::new(lab.shell.file("state/eice/host_keys.json"));
    let key = eice::ssh::host_keys::HostKey::parse(&sshd.host_key()).unwrap();
    for scope in ["aws/123456789012/eu-west-1/i-1", "aws/-/us-east-1/i-2", "aws-cn/1/cn-north-1/i-3"] {
        let pinned = store.edit(|pins| {
            let learned = pins.pin(&scope.parse().unwrap(), &key, std::time::SystemTime::now())?;
            Ok((learned, true))
        });
        assert_eq!(pinned.unwrap(), Learned::Added);
    }
    let table = lab.host_keys(&["list"], b"").await.expect_success();
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.starts_with("SCOPE") && table.contains("pinned"), "{table}");
    assert_eq!(
        lab.host_keys(&["list", "i-2", "aws-cn/1/cn-north-1/i-3"], b"")
            .await
            .expect_success()
            .lines()
            .count(),
        3
    );
    refused(&lab.host_keys(&["forget", "i-1", "i-9"], b"").await, 66, &["i-9", "nothing is forgotten"]);
    assert_eq!(lab.listed().await.len(), 3);
    for bad in [&["forget"][..], &["forget", "web"], &["forget", "--all"], &["forget", "a/b/i-1"]] {
        assert_eq!(lab.host_keys(bad, b"").await.code, Some(64), "{bad:?}");
    }
    let forgotten = lab.host_keys(&["forget", "i-1", "aws/-/us-east-1/i-2"], b"").await.expect_success();
    assert_eq!(forgotten.lines().count(), 2, "{forgotten}");
    lab.host_keys(&["forget", "--all", "--yes"], b"").await.expect_success();
    let nothing = lab.host_keys(&["list"], b"").await;
    assert!(nothing.expect_success().is_empty() && nothing.stderr.contains("no host key is pinned"));
    // An unreadable store is not treated as empty.
    fs::write(store.path(), "{").unwrap();
    for verb in [&["list"][..], &["export", INSTANCE], &["forget", "i-1"], &["import", "-"]] {
        let said = lab.host_keys(verb, b"").await;
        refused(&said, 78, &["is damaged"]);
        assert!(said.stdout.is_empty());
    }
    assert_eq!(fs::read_to_string(store.path()).unwrap(), "{");
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_store_is_config_error() {
    let sshd = Sshd::start();
    let mut lab = Lab::new(&sshd).await;
    let destination = format!("{}@{INSTANCE}", sshd.user.name);
    let damaged = lab.shell.file("damaged.json");
    fs::write(&damaged, "{").unwrap();
    // A path below a file cannot be opened, and /proc cannot be written.
    let below_a_file = damaged.join("host_keys.json");
    for (store, words) in [
        (damaged.as_path(), "is damaged"),
        (below_a_file.as_path(), "opening failed"),
        (Path::new("/proc/eice/host_keys.json"), "failed"),
    ] {
        lab.shell.export("EICE_HOST_KEYS", store.to_str().unwrap());
        let said = lab.ssh(&sshd, "tofu").await;
        refused(
            &said,
            78,
            &["key-exchange", "the store of host keys", words, "hint: make the store readable"],
        );
        let said = lab.shell.run(&["doctor", "--json", &destination], b"").await;
        let report: Value = serde_json::from_slice(&said.stdout).unwrap();
        // An unwritable store is no failure of doctor, which writes nothing.
        let is_read = store.starts_with("/proc");
        assert_eq!(said.code, Some(if is_read { 0 } else { 78 }), "{report:#}");
        let failed = report["steps"].as_array().unwrap().iter().find(|step| step["outcome"] == "failed");
        assert_eq!(failed.map(|step| &step["fault"]), (!is_read).then_some(&"configuration".into()));
    }
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_console_only_fails_console_mode() {
    let world = World::builtin().await;
    world.emulator.faults().update(|faults| {
        faults.api_action = Some("GetConsoleOutput".into());
        faults.api_hang = true;
    });
    let connect = async |mode| {
        let client = world.client(|_, _, connect| {
            connect.host_keys = mode;
            connect.ssh.timeouts.witness = Duration::from_millis(500);
        });
        client.connect_ssh(&world.target(), &|_: StageEvent| {}).await
    };
    let host = connect(HostKeyMode::TrustOnFirstUse).await.unwrap();
    eice::model::Host::close(&host).await;
    let error = connect(HostKeyMode::Console).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Timeout, "{}", error.chain());
    assert!(error.chain().contains("no answer within 0.5 s"), "{}", error.chain());
}
