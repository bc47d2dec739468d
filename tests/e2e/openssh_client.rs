//! The system's ssh, scp and rsync over `eice tunnel`, to a real sshd.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use eice::model::Account;

use crate::lab::{EICE, INSTANCE, Sshd, World, keygen, output, program};

/// A user with an ordinary key.
struct Client<'a> {
    world: &'a World,
    sshd: &'a Sshd,
    home: tempfile::TempDir,
}

impl<'a> Client<'a> {
    fn new(world: &'a World, sshd: &'a Sshd) -> Self {
        let home = tempfile::tempdir().unwrap();
        let key = home.path().join("key");
        keygen("ed25519", "", "", &key);
        // The host key is known under the instance id, not an address.
        let known = format!("{INSTANCE} {}\n", sshd.host_key());
        fs::write(home.path().join("known_hosts"), known).unwrap();
        Self { world, sshd, home }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Pushes the key, as any AWS tool would.
    async fn push(&self) {
        let public = fs::read_to_string(self.file("key.pub")).unwrap();
        let client = self.world.aws().client(&Account::default(), None).await.unwrap();
        let user = self.sshd.user.name.parse().unwrap();
        client.send_ssh_public_key(&self.world.instance(), &user, public.trim()).await.unwrap();
    }

    /// Returns the options that make ssh, scp and rsync use the tunnel.
    fn options(&self) -> Vec<String> {
        let option = |text: String| ["-o".to_owned(), text];
        [
            option(format!("ProxyCommand={EICE} tunnel %h")),
            option(format!("IdentityFile={}", self.file("key").display())),
            option(format!("UserKnownHostsFile={}", self.file("known_hosts").display())),
            option("GlobalKnownHostsFile=/dev/null".into()),
            option("StrictHostKeyChecking=yes".into()),
            option("IdentitiesOnly=yes".into()),
            option("BatchMode=yes".into()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn destination(&self) -> String {
        format!("{}@{INSTANCE}", self.sshd.user.name)
    }

    async fn run(&self, name: &str, args: Vec<String>) -> Output {
        let mut command = Command::new(program(name));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.home.path());
        command
            .envs(self.world.emulator.access().env())
            .args(["-F", "none"].iter().filter(|_| name != "rsync"));
        command.args(args).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || output(&mut command)).await.unwrap()
    }

    async fn ssh(&self, command: &str) -> Output {
        let mut args = self.options();
        args.extend([self.destination(), command.to_owned()]);
        self.run("ssh", args).await
    }
}

#[track_caller]
fn good(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_keeps_exit_status() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let client = Client::new(&world, &sshd);
    client.push().await;
    let output = client.ssh("whoami; echo problem >&2; exit 42").await;
    assert_eq!(output.status.code(), Some(42), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), sshd.user.name);
    assert!(String::from_utf8_lossy(&output.stderr).contains("problem\n"));
    sshd.is_idle();
    crate::lab::eventually("the tunnel is closed", || (world.emulator.open_tunnels() == 0).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_key_expires_after_60_s() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let client = Client::new(&world, &sshd);
    // Pushed 61 s ago by the emulator's clock.
    world.emulator.clock().rewind(Duration::from_secs(61));
    client.push().await;
    world.emulator.clock().reset();
    let output = client.ssh("true").await;
    assert_eq!(output.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied"), "{output:?}");
    // And 59 s ago.
    world.emulator.clock().rewind(Duration::from_secs(55));
    client.push().await;
    world.emulator.clock().reset();
    good(&client.ssh("true").await);
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn scp_copies_both_ways() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let client = Client::new(&world, &sshd);
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(client.file("there"), &bytes).unwrap();
    let (there, back) =
        (client.file("there").display().to_string(), client.file("back").display().to_string());
    let remote = format!("{}:copy", client.destination());
    for (from, to) in [(&there, &remote), (&remote, &back)] {
        client.push().await;
        let mut args = client.options();
        args.extend([from.clone(), to.clone()]);
        good(&client.run("scp", args).await);
    }
    assert!(fs::read(sshd.home().join("copy")).unwrap() == bytes);
    assert!(fs::read(back).unwrap() == bytes);
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn rsync_copies_only_changes() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let client = Client::new(&world, &sshd);
    let folder = client.file("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a"), vec![b'a'; 300_000]).unwrap();
    fs::write(folder.join("b"), vec![b'b'; 300_000]).unwrap();
    let quoted: Vec<String> = client.options().iter().map(|option| format!("'{option}'")).collect();
    let shell = format!("ssh -F none {}", quoted.join(" "));
    for round in 0..2 {
        client.push().await;
        let args = [
            "-a",
            "--stats",
            "-e",
            &shell,
            &format!("{}/", folder.display()),
            &format!("{}:folder/", client.destination()),
        ];
        let said = good(&client.run("rsync", args.map(str::to_owned).to_vec()).await);
        let moved = said.lines().find_map(|line| line.strip_prefix("Number of regular files transferred: "));
        assert_eq!(moved, Some(if round == 0 { "2" } else { "1" }), "{said}");
        assert_eq!(fs::read(sshd.home().join("folder/a")).unwrap(), fs::read(folder.join("a")).unwrap());
        fs::write(folder.join("a"), b"changed").unwrap();
    }
    sshd.is_idle();
}
