//! Host keys from the console output of an instance.

use eice::emulator::{Builtin, EmulatorConfig, IamPolicy};
use eice::ssh::host_keys::{KeyOrigin, MemoryHostKeys};
use serde_json::json;

use super::*;

/// Starts a lab whose console shows `posted` and, if given, `latest` as the latest output.
async fn says(posted: &str, latest: Option<&str>) -> Lab {
    let instances = vec![InstanceSpec {
        backend: Backend::Builtin(Builtin::default()),
        console_output: Some(posted.to_owned()),
        latest_console_output: latest.map(str::to_owned),
        ..InstanceSpec::default()
    }];
    let world = World::with(EmulatorConfig { instances, ..EmulatorConfig::default() }).await;
    let shell = ClientShell::new(&world);
    Lab { world, shell }
}

impl Lab {
    async fn connects(&self, mode: &str) -> CommandOutput {
        self.shell.run(&["ssh", "--host-key", mode, INSTANCE, "--", "true"], b"").await
    }

    /// The host key of the emulator's own server.
    async fn own_key(&self) -> String {
        let addr = self.world.emulator.ssh_addr(&self.world.instance()).unwrap();
        let (port, host) = (addr.port().to_string(), addr.ip().to_string());
        let scanned = run("ssh-keyscan", ["-t", "ed25519", "-p", &port, &host]).stdout;
        let scanned = String::from_utf8(scanned).unwrap();
        let line = scanned.lines().find(|line| !line.starts_with('#')).unwrap();
        line.split_once(' ').unwrap().1.to_owned()
    }

    fn prints(&self, posted: &str) {
        let posted = posted.to_owned();
        assert!(self.world.emulator.edit_instance(&self.world.instance(), |spec| {
            spec.console_output = Some(posted);
        }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keyless_console_only_fails_console_mode() {
    let garbled =
        format!("\u{1b}[2J\u{0}{}\r\n", printed("ssh-ed25519 AAAA!garbled!").replace("KEYS", "K\u{7f}YS"));
    for (text, cause) in [
        ("", "is empty"),
        (" \r\n", "is empty"),
        ("Linux version 6.1.0\r\nlogin: ", "shows no host keys"),
        (&garbled, "shows no host keys"),
        ("-----BEGIN SSH HOST KEY KEYS-----\r\nssh-ed25519 AAAA", "shows no host keys"),
    ] {
        let lab = says(text, None).await;
        let said = lab.connects("console").await;
        refused(
            &said,
            76,
            &["cannot be verified", cause, "SHA256:", "--host-key tofu", "eice host-keys import"],
        );
        assert!(lab.listed().await.is_empty(), "{text:?}");
        assert_eq!(lab.asked(), 2, "as it stands, and as it was posted");
        lab.connects("tofu").await.expect_success();
        let listed = lab.listed().await;
        assert_eq!((listed.len(), &listed[0]["origin"]), (1, &json!("first-use")));
        let asked = lab.asked();
        lab.connects("tofu").await.expect_success();
        lab.connects("console").await.expect_success();
        assert_eq!(lab.asked(), asked, "only a first key is asked for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_permission_prints_statement() {
    let lab = says("", None).await;
    lab.prints(&printed(&lab.own_key().await));
    let access = lab.world.emulator.access();
    let mut less = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Action": ["ec2:DescribeInstances", "ec2:DescribeInstanceConnectEndpoints", "ec2-instance-connect:*"],
        "Resource": "*"
    }]});
    let set = |policy: &Value| {
        let policy: IamPolicy = serde_json::from_value(policy.clone()).unwrap();
        assert!(lab.world.emulator.set_policies(access.access_key_id(), vec![policy]));
    };
    set(&less);
    let said = lab.connects("console").await;
    refused(&said, 77, &["GetConsoleOutput is not allowed", "--host-key tofu"]);
    assert!(lab.listed().await.is_empty());
    assert_eq!(lab.asked(), 1, "a denial is not asked for twice");

    let hint = said.stderr.lines().find(|line| line.contains("hint: ")).unwrap();
    let (start, end) = (hint.find('{').unwrap(), hint.rfind('}').unwrap());
    let statement: Value = serde_json::from_str(&hint[start..=end]).unwrap();
    less["Statement"].as_array_mut().unwrap().push(statement);
    set(&less);
    lab.connects("console").await.expect_success();
    assert_eq!(lab.listed().await[0]["origin"], "console");
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_console_keeps_tofu() {
    let lab = says("", None).await;
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Action": "ec2:GetConsoleOutput", "Resource": "*" },
    ]});
    let policy: IamPolicy = serde_json::from_value(policy).unwrap();
    assert!(lab.world.emulator.set_policies(lab.world.emulator.access().access_key_id(), vec![policy]));
    let said = lab.connects("tofu").await;
    said.expect_success();
    assert_eq!(lab.listed().await[0]["origin"], "first-use");
    assert_eq!(lab.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn last_boot_counts() {
    let lab = says("", None).await;
    let (own, strange) = (lab.own_key().await, Sshd::start().host_key());
    for mode in ["console", "tofu"] {
        lab.prints(&format!("{}{}", printed(&own), printed(&strange)));
        let said = lab.connects(mode).await;
        let both = [&*fingerprint(&own), &*fingerprint(&strange)];
        refused(&said, 76, &[both[0], both[1], "is not on its console", "eice host-keys import"]);
        assert!(lab.listed().await.is_empty(), "{mode}");
        lab.prints(&format!("{}{}", printed(&strange), printed(&own)));
        lab.connects(mode).await.expect_success();
        assert_eq!(lab.listed().await[0]["origin"], "console", "{mode}");
        lab.host_keys(&["forget", INSTANCE], b"").await.expect_success();
    }
    // A system that prints fingerprints only.
    lab.prints(&format!(
        "ec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----\r\nec2: 256 {} root@freebsd (ED25519)\r\n\
         ec2: -----END SSH HOST KEY FINGERPRINTS-----\r\n",
        fingerprint(&own)
    ));
    lab.connects("console").await.expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_console_then_posted_one() {
    let lab = says("", Some("the ring has gone round")).await;
    let own = lab.own_key().await;
    lab.prints(&printed(&own));
    lab.connects("console").await.expect_success();
    assert_eq!(lab.asked(), 2);
    lab.host_keys(&["forget", INSTANCE], b"").await.expect_success();
    // Instances older than Nitro have only the posted output.
    assert!(
        lab.world
            .emulator
            .edit_instance(&lab.world.instance(), |spec| spec.instance_type = "t2.micro".into())
    );
    lab.connects("console").await.expect_success();
    assert_eq!(lab.asked(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn console_call_overlaps_the_dial() {
    let world = World::builtin().await;
    world.emulator.faults().update(|faults| {
        // Connecting takes more than six times this: TLS, upgrade, identification, key exchange.
        faults.latency_ms = 100;
        faults.api_action = Some("GetConsoleOutput".into());
        faults.api_delay_ms = 200;
    });
    let keys = Arc::new(MemoryHostKeys::new());
    let client = world.client_with(keys.clone(), |_, _, connect| {
        connect.ssh.timeouts.witness_grace = Duration::ZERO;
    });
    let host = client.connect_ssh(&world.target(), &|_: StageEvent| {}).await.unwrap();
    eice::model::Host::close(&host).await;
    let origins: Vec<_> = keys.pins().iter().map(|(_, pin)| pin.origin).collect();
    assert_eq!(origins, [KeyOrigin::Console]);
}

#[tokio::test(flavor = "multi_thread")]
async fn console_text_is_not_kept() {
    let lab = says("", None).await;
    let own = lab.own_key().await;
    let canary = "hunter2-password-in-user-data";
    for (text, code) in [(format!("{canary}\r\n{}{canary}", printed(&own)), 0), (canary.to_owned(), 76)] {
        lab.prints(&text);
        let args = ["ssh", "--log", "trace", "--host-key", "console", INSTANCE, "--", "true"];
        let said = lab.shell.run(&args, b"").await;
        assert_eq!(said.code, Some(code), "{}", said.stderr);
        assert!(said.stderr.len() > 1000, "the log is on");
        for hidden in [canary, "aHVudGVyMi1wYXNzd29yZC1pbi11c2VyLWRhdG"] {
            assert!(!said.stderr.contains(hidden), "{hidden} in the log");
        }
        if code == 0 {
            let store = fs::read_to_string(lab.shell.file("state/eice/host_keys.json")).unwrap();
            assert!(!store.contains("hunter2"), "{store}");
            lab.host_keys(&["forget", INSTANCE], b"").await.expect_success();
        }
    }
}
