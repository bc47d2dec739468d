//! Exchanging host keys with OpenSSH.

use std::process::{Command, Stdio};

use super::*;
use crate::lab::{output, program, run_ok};

/// Returns the arguments for one of OpenSSH's options.
fn option(text: String) -> [String; 2] {
    ["-o".to_owned(), text]
}

impl Lab {
    /// Runs the system's ssh through the tunnel with `options`. No key is pushed, so `Permission denied` shows that the
    /// key exchange has succeeded.
    async fn openssh(&self, sshd: &Sshd, options: &[String]) -> String {
        let mut command = Command::new(program("ssh"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.shell.home.path());
        command.env("XDG_STATE_HOME", self.shell.file("state"));
        command.envs(self.shell.env.iter().map(|(name, value)| (name, value)));
        command.args(["-F", "none"]);
        let fixed = [
            option(format!("ProxyCommand={EICE} tunnel %h")),
            option("GlobalKnownHostsFile=/dev/null".into()),
            option("StrictHostKeyChecking=yes".into()),
            option("BatchMode=yes".into()),
        ];
        command.args(fixed.into_iter().flatten()).args(options);
        command.arg(format!("{}@{INSTANCE}", sshd.user.name)).arg("true").stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || output(&mut command)).await.unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_accepts_exported_keys() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let lab = Lab::new(&sshd).await;
    lab.ssh(&sshd, "tofu").await.expect_success();
    let file = lab.shell.file("known_hosts");
    let command = format!("KnownHostsCommand={EICE} host-keys export %H");
    let by_command = [option("UserKnownHostsFile=/dev/null".into()), option(command.clone())]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    let by_file = [
        option(format!("UserKnownHostsFile={}", file.display())),
        option(format!("HostKeyAlias={INSTANCE}")),
    ];
    let by_file: Vec<_> = by_file.into_iter().flatten().collect();
    for (args, options) in [
        (&["export"][..], &by_file),
        (&["export", "--hashed"], &by_file),
        (&["export", INSTANCE], &by_file),
        (&["export"], &by_command),
    ] {
        let exported = lab.host_keys(args, b"").await.expect_success();
        assert_eq!(exported.lines().count(), 1, "{exported}");
        assert_eq!(exported.contains(INSTANCE), !args.contains(&"--hashed"), "{exported}");
        fs::write(&file, exported).unwrap();
        let said = lab.openssh(&sshd, options).await;
        assert!(said.contains("Permission denied (publickey)"), "{args:?}: {said}");
    }
    // The file is really used: another machine is refused.
    lab.set_instance(&other, None).await;
    for options in [&by_file, &by_command] {
        let said = lab.openssh(&other, options).await;
        assert!(said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), "{said}");
    }
    // For a host that is not pinned or no instance, the output is empty and the exit status 0.
    for host in ["i-0000000000000000f", "example.org", "[127.0.0.1]:22", ""] {
        let said = lab.host_keys(&["export", host], b"").await;
        assert_eq!((said.expect_success().as_str(), said.stderr.as_str()), ("", ""), "{host:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keyscan_output_is_imported() {
    let sshd = Sshd::start();
    let lab = Lab::new(&sshd).await;
    let port = sshd.addr.port().to_string();
    let scanned = run("ssh-keyscan", ["-p", &port, "127.0.0.1"]).stdout;
    let scanned_text = String::from_utf8(scanned.clone()).unwrap();
    assert!(scanned_text.contains("ssh-ed25519"), "{scanned_text}");

    let said = lab.host_keys(&["import", "-"], &scanned).await;
    assert!(
        said.expect_success().contains("pinned 0") && said.expect_success().contains("about other hosts 1"),
        "{said:?}"
    );
    let map = format!("[127.0.0.1]:{port}={INSTANCE}");
    let said = lab.host_keys(&["import", "-", "--map", &map, "--region", "eu-west-1"], &scanned).await;
    assert!(said.expect_success().starts_with("pinned 1"), "{said:?}");
    assert_eq!(lab.listed().await[0]["scope"], format!("aws/-/eu-west-1/{INSTANCE}"));
    lab.ssh(&sshd, "strict").await.expect_success();

    // The same with hashed names, by the instance's id.
    lab.host_keys(&["forget", INSTANCE], b"").await.expect_success();
    let file = lab.shell.file("known_hosts");
    fs::write(&file, format!("{INSTANCE} {}\ngithub.com {}\n", sshd.host_key(), sshd.host_key())).unwrap();
    let name = file.to_str().unwrap();
    run_ok("ssh-keygen", ["-q", "-H", "-f", name]);
    assert!(!fs::read_to_string(&file).unwrap().contains(INSTANCE));
    let said = lab.host_keys(&["import", name], b"").await;
    assert!(said.expect_success().contains("hashed names of nobody named here 2"), "{said:?}");
    let account = lab.world.emulator.access().account_id().to_owned();
    let args = ["import", name, "--instance", INSTANCE, "--account", &account, "--region", "eu-west-1"];
    let said = lab.host_keys(&args, b"").await;
    assert!(said.expect_success().starts_with("pinned 1"), "{said:?}");
    assert_eq!(lab.listed().await[0]["scope"], format!("aws/{account}/eu-west-1/{INSTANCE}"));
    assert!(lab.host_keys(&args, b"").await.expect_success().starts_with("pinned 0, known already 1"));
    lab.ssh(&sshd, "strict").await.expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn import_skips_and_reports_bad_lines() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let lab = Lab::new(&sshd).await;
    let (key, strange) = (sshd.host_key(), other.host_key());
    let text = format!(
        "# a comment\n{INSTANCE} {key}\n{INSTANCE} {strange}\ni-2 ssh-ed25519 AAAA\n@cert-authority i-3 {key}\n\
         i-4 {key}\n@revoked i-4 {key}\ni-* {key}\ni-5,10.0.0.5 {key}\n@odd i-6 {key}\nexample.org {key}\n"
    );
    let said = lab.host_keys(&["import", "-"], text.as_bytes()).await;
    let parts = [
        "line 3:",
        &*fingerprint(&strange),
        "line 4:",
        "line 10:",
        "line 5: @cert-authority",
        "line 6: the key is left out: it is revoked",
        "line 8: patterns",
    ];
    refused(&said, 76, &parts);
    assert!(said.stdout.starts_with(b"pinned 2, known already 0, about other hosts 1"), "{said:?}");
    let rows = lab.listed().await;
    let pinned: Vec<_> = rows.iter().map(|row| row["instance"].as_str().unwrap()).collect();
    assert_eq!(pinned, [INSTANCE, "i-5"]);
    let revoked = format!("@revoked i-5 {key}\n");
    refused(
        &lab.host_keys(&["import", "-"], revoked.as_bytes()).await,
        76,
        &["revoked, and it is pinned", "forget i-5"],
    );
    refused(&lab.host_keys(&["import", "/nonexistent"], b"").await, 66, &["/nonexistent"]);
    for bad in [["--account", "12"], ["--region", "EU West"], ["--map", "x"], ["--instance", "web"]] {
        assert_eq!(lab.host_keys(&["import", "-", bad[0], bad[1]], b"").await.code, Some(64), "{bad:?}");
    }
}
