//! `eice push-key`, and OpenSSH with the pushed key.

use std::fs;
use std::process::Stdio;

use crate::lab::{CommandOutput, INSTANCE, LocalUser, Sshd, World, fingerprint, output};

struct Lab {
    local_user: LocalUser,
    world: World,
    sshd: Sshd,
}

impl Lab {
    async fn new() -> Self {
        let sshd = Sshd::start();
        let world = World::of(&sshd).await;
        Self { local_user: LocalUser::new(&world), world, sshd }
    }

    fn to(&self) -> String {
        format!("{}@{INSTANCE}", self.sshd.user.name)
    }

    async fn keygen(&self, kind: &str, file: &str) {
        let args = ["-q", "-t", kind, "-N", "", "-C", "a comment", "-f", file];
        self.local_user.run("ssh-keygen", &args, b"").await.expect_success();
    }

    async fn push(&self, args: &[&str], input: &[u8]) -> CommandOutput {
        self.local_user.run("eice", &[&["push-key", &self.to()], args].concat(), input).await
    }

    /// Returns whether ssh logs in with the key in `file`, through a bare tunnel.
    async fn logs_in(&self, file: &str) -> bool {
        let proxy = format!("ProxyCommand={} tunnel %n", crate::lab::EICE);
        let (identity, to) = (format!("IdentityFile={file}"), self.to());
        let options =
            [&proxy, &identity, "StrictHostKeyChecking=accept-new", "IdentitiesOnly=yes", "BatchMode=yes"];
        let mut args: Vec<&str> = options.iter().flat_map(|option| ["-o", option]).collect();
        args.extend([&to, "true"]);
        self.local_user.run("ssh", &args, b"").await.code == Some(0)
    }

    fn pushes(&self) -> usize {
        self.world.emulator.records().iter().filter(|it| it.event_name == "SendSSHPublicKey").count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_key_logs_in_and_is_reported() {
    let lab = Lab::new().await;
    lab.keygen("rsa", ".ssh/id_rsa").await;
    lab.keygen("ed25519", "other").await;
    // The default key, the preferred one of two, a named one, and one from stdin.
    let fingerprint_of =
        |file: &str| fingerprint(&std::fs::read_to_string(lab.local_user.file("home").join(file)).unwrap());
    let said = lab.push(&[], b"").await.expect_success();
    let expected = format!(
        "{} may log in to {INSTANCE} as {} until 20",
        fingerprint_of(".ssh/id_rsa.pub"),
        lab.sshd.user.name
    );
    assert!(said.starts_with(&expected), "{said}");
    assert!(lab.logs_in(".ssh/id_rsa").await);
    lab.keygen("ed25519", ".ssh/id_ed25519").await;
    assert!(lab.push(&[], b"").await.expect_success().starts_with(&fingerprint_of(".ssh/id_ed25519.pub")));
    assert!(!lab.logs_in("other").await, "it was not pushed");
    let public = fs::read(lab.local_user.file("home/other.pub")).unwrap();
    let line = lab.push(&["--key", "-", "--json"], &public).await.expect_success();
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["fingerprint"], fingerprint_of("other.pub"));
    assert_eq!(
        (&json["instance"], &json["os_user"]),
        (&INSTANCE.into(), &lab.sshd.user.name.as_str().into())
    );
    let records = lab.world.emulator.records();
    let pushed = records.iter().rfind(|it| it.event_name == "SendSSHPublicKey").unwrap();
    assert_eq!(json["request_id"], pushed.request_id.as_str());
    assert!(json["expires_at"].as_str().unwrap() > pushed.event_time.as_str());
    assert!(lab.logs_in("other").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_key_is_pushed_on_request() {
    let lab = Lab::new().await;
    lab.keygen("ed25519", "key").await;
    let script = "eval $(ssh-agent) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; \"$0\" push-key \"$1\" --agent; \
                  echo empty=$?; ssh-add -q key; \"$0\" push-key \"$1\" --agent --json";
    let said = lab.local_user.run("bash", &["-c", script, crate::lab::EICE, &lab.to()], b"").await;
    let stdout = said.expect_success();
    assert!(stdout.starts_with("empty=66\n") && stdout.contains("\"fingerprint\":\"SHA256:"), "{stdout}");
    assert!(said.stderr.contains("ssh-agent has no key"), "{}", said.stderr);
    assert!(lab.logs_in("key").await);
    let said = lab.push(&["--agent"], b"").await;
    assert_eq!(said.code, Some(69), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_public_key_is_never_sent() {
    let lab = Lab::new().await;
    lab.keygen("ed25519", "key").await;
    lab.keygen("ecdsa", "ecdsa").await;
    let secret = fs::read_to_string(lab.local_user.file("home/key")).unwrap();
    let secret = secret.lines().nth(2).unwrap();
    for (args, code, word) in [
        (&["--key", "key"][..], 64, "private key"),
        (&["--key", "ecdsa.pub"], 64, "ecdsa-sha2-nistp256"),
        (&["--key", "/dev/zero"], 64, "larger"),
        (&["--key", "missing.pub"], 66, "missing.pub"),
        (&["--key", "/dev/null"], 64, "not a public key"),
        (&[], 66, "id_ed25519.pub"),
    ] {
        let said = lab.push(args, b"").await;
        assert_eq!(said.code, Some(code), "{args:?}: {}", said.stderr);
        assert!(said.stderr.contains(word), "{args:?}: {}", said.stderr);
        assert!(!said.stderr.contains(secret) && said.stdout.is_empty(), "{args:?}");
    }
    let mut command = lab.local_user.command("eice");
    command.args(["tunnel", INSTANCE, "--push-key", "key"]).stdin(Stdio::null());
    let output = tokio::task::block_in_place(|| output(&mut command));
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(lab.pushes(), 0);
    assert_eq!(lab.world.emulator.open_tunnels(), 0);
}
