//! The gateway's routes other than the terminal, with a real sshd: files, diagnoses, the list of terminals.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use eice::emulator::{CloseAfter, EmulatorConfig};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::lab::{Configs, INSTANCE, InProcessGateway, Sshd, TOKEN, WORKSPACE, World, eventually, noise};

/// A gateway with a workspace on an instance, and a private folder in the workspace's files.
struct Scene {
    served: InProcessGateway,
    world: World,
    configs: Configs,
    sshd: Sshd,
}

impl Scene {
    async fn start() -> Self {
        let sshd = Sshd::start();
        let configs = Configs::of(&sshd.user);
        let world = World::of(&sshd).await;
        let served = InProcessGateway::start(&world, "").await;
        Self { served, world, configs, sshd }
    }

    /// Writes one file; returns the response's status and body.
    async fn put(&self, path: &str, content: &str) -> (u16, Value) {
        let body = json!({"content": content}).to_string();
        self.served.ask("PUT", &format!("files/{}", self.configs.rel(path)), &body).await
    }

    /// Writes several files.
    async fn put_all(&self, files: &[(String, String)]) -> (u16, Value) {
        let files: Map<_, _> =
            files.iter().map(|(path, content)| (self.configs.rel(path), json!(content))).collect();
        self.served.ask("PUT", "files", &json!({"files": files}).to_string()).await
    }

    fn tunnels(&self) -> usize {
        let records = self.world.emulator.records();
        records.iter().filter(|record| record.event_name == "OpenTunnel").count()
    }

    fn wait_until_clean(&self) {
        eventually("no tunnel is open", || (self.world.emulator.open_tunnels() == 0).then_some(()));
        self.sshd.is_idle();
    }

    /// Returns the names in the folder, including temporary ones.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.configs.there("")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn file_has_mode_folders_and_content() {
    let scene = Scene::start().await;
    let content = "it's \"quoted\": $(id) `id` \\ \u{e9}\u{1f600}\n\0\r\n";
    let path = "a b/it's; $(id)/\u{e9}.md";
    let (status, body) = scene.put("a%20b/it's%3B%20$(id)/%C3%A9.md", content).await;
    let saved = json!({"status": "saved", "path": scene.configs.rel(path)});
    assert_eq!((status, body), (200, saved));
    let there = scene.configs.there(path);
    assert_eq!(fs::read_to_string(&there).unwrap(), content);
    let meta = fs::metadata(&there).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o644, scene.sshd.user.uid));
    // The path is returned verbatim: the platform's client identifies its file by it.
    assert_eq!(scene.put("./x//y", "1").await.1["path"], scene.configs.rel("./x//y"));
    // An existing file is replaced as a whole; of a link, the link is replaced and not its target.
    let outside = scene.configs.there("outside");
    fs::write(&outside, "mine").unwrap();
    symlink(&outside, scene.configs.there("link")).unwrap();
    assert_eq!(scene.put("link", "new").await.0, 200);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
    let link = fs::symlink_metadata(scene.configs.there("link")).unwrap();
    assert!(link.is_file(), "{link:?}");
    scene.wait_until_clean();
    scene.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_use_one_connection() {
    let scene = Scene::start().await;
    let before = scene.served.leak_check(&scene.world, scene.sshd.addr).await;
    let opened = scene.tunnels();
    let files: Vec<_> =
        (0..200).map(|n| (format!("dir {}/{n}.md", n % 7), format!("{n}").repeat(n * 20))).collect();
    let (status, body) = scene.put_all(&files).await;
    let replaced = json!({"status": "replaced", "workspace": WORKSPACE, "files": 200, "source": "ec2-ssh"});
    assert_eq!((status, body), (200, replaced));
    for (path, content) in &files {
        let there = scene.configs.there(path);
        assert_eq!(&fs::read_to_string(&there).unwrap(), content, "{path}");
        assert_eq!(fs::metadata(&there).unwrap().mode() & 0o7777, 0o644);
    }
    assert_eq!(scene.tunnels() - opened, 1, "one connection for all of them");
    scene.wait_until_clean();
    before.assert_no_leaks().await;

    // A path that is a folder fails on its own, and is named.
    fs::create_dir(scene.configs.there("in the way")).unwrap();
    let files = [("fine", "1"), ("in the way", "2"), ("fine too", "3")].map(|(a, b)| (a.into(), b.into()));
    let (status, body) = scene.put_all(&files).await;
    assert_eq!((status, &body["written"]), (500, &json!(2)), "{body}");
    let rel = scene.configs.rel("in the way");
    assert!(
        body["error"]
            .as_str()
            .unwrap()
            .starts_with(&format!("failed to write file {rel}: /opt/configs/{rel} is a folder"))
    );
    assert_eq!(body["failed"].as_object().unwrap().keys().collect::<Vec<_>>(), [&rel]);
    assert_eq!(fs::read_to_string(scene.configs.there("fine too")).unwrap(), "3");
    scene.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_connection_keeps_old_file() {
    let scene = Scene::start().await;
    assert_eq!(scene.put("config.yaml", "old").await.0, 200);
    let new =
        String::from_utf8(noise(7, 1 << 20).into_iter().map(|byte| b'a' + byte % 26).collect()).unwrap();
    scene.world.emulator.faults().update(|faults| {
        faults.close_after_up = Some(CloseAfter { bytes: 300_000, ..CloseAfter::default() });
    });
    let (status, body) = scene.put("config.yaml", &new).await;
    assert_eq!(status, 500);
    let error = body["error"].as_str().unwrap();
    assert!(error.starts_with("failed to write file: the connection was lost"), "{error}");
    scene.wait_until_clean();
    assert_eq!(fs::read_to_string(scene.configs.there("config.yaml")).unwrap(), "old");
    scene.world.emulator.faults().clear();
    assert_eq!(scene.put("config.yaml", &new).await.0, 200);
    assert!(fs::read_to_string(scene.configs.there("config.yaml")).unwrap() == new);
    assert_eq!(scene.names(), ["config.yaml"], "nothing else stays");
    scene.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_client_keeps_old_file() {
    let scene = Scene::start().await;
    assert_eq!(scene.put("small", "old").await.0, 200);
    let before = scene.served.leak_check(&scene.world, scene.sshd.addr).await;
    // It takes half a minute.
    scene.world.emulator.faults().update(|faults| faults.rate = Some(4_000));
    let opened = scene.tunnels();
    let body = json!({"content": "x".repeat(120_000)}).to_string();
    let path = scene.configs.rel("small");
    let request = format!(
        "PUT /workspaces/{WORKSPACE}/files/{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\n\
         content-length: {}\r\n\r\n{body}",
        scene.served.addr,
        body.len(),
    );
    let mut client = TcpStream::connect(scene.served.addr).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    eventually("it is under way", || (scene.names().len() > 1 && scene.tunnels() > opened).then_some(()));
    drop(client);
    scene.wait_until_clean();
    before.assert_no_leaks().await;
    assert_eq!(fs::read_to_string(scene.configs.there("small")).unwrap(), "old");
    assert_eq!(scene.names(), ["small"], "the far side has tidied up");
    scene.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_error_is_returned() {
    let scene = Scene::start().await;
    let (status, body) = scene.served.ask("PUT", "files/not-mine", r#"{"content":"x"}"#).await;
    assert_eq!(status, 500);
    let error = body["error"].as_str().unwrap();
    assert!(error.contains("/opt/configs") && error.contains("ermission denied"), "{error}");
    assert!(!fs::exists("/opt/configs/not-mine").unwrap());
    scene.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn diagnosis_passes_and_leaves_nothing() {
    let scene = Scene::start().await;
    let before = scene.served.leak_check(&scene.world, scene.sshd.addr).await;
    let opened = scene.tunnels();
    let (status, report) = scene.served.ask("GET", "terminal/diagnose", "").await;
    assert_eq!(
        (status, &report["ok"], &report["first_failure"]),
        (200, &json!(true), &Value::Null),
        "{report:#}"
    );
    assert_eq!((&report["instance"], report["steps"].as_array().unwrap().len()), (&json!(INSTANCE), 19));
    assert_eq!(scene.tunnels() - opened, 1);
    scene.wait_until_clean();
    before.assert_no_leaks().await;
    scene.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_diagnosis_has_no_secret() {
    let world = World::with(EmulatorConfig { dial_timeout_ms: 300, ..EmulatorConfig::default() }).await;
    world.deny("ec2-instance-connect:SendSSHPublicKey");
    let served = InProcessGateway::start(&world, "").await;
    let (status, report) = served.ask("GET", "terminal/diagnose", "").await;
    assert_eq!((status, &report["ok"], &report["first_failure"]), (200, &json!(false), &json!("key-push")));
    let steps = report["steps"].as_array().unwrap();
    let failed = steps.iter().find(|step| step["name"] == "key-push").unwrap();
    assert_eq!(failed["outcome"], "failed");
    assert_eq!(failed["fixes"][0]["statement"]["Action"], "ec2-instance-connect:SendSSHPublicKey");
    assert!(failed["request_id"].is_string() && failed["hint"].is_string(), "{failed:#}");
    let access = world.emulator.access();
    for secret in [access.secret_access_key(), access.access_key_id(), TOKEN] {
        assert!(!report.to_string().contains(secret), "{secret} was returned");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_terminal_ends_both_sides() {
    let scene = Scene::start().await;
    let mut viewer = scene.served.viewer().await;
    viewer.line("echo he''re; sleep 5000").await;
    viewer.until("here").await;
    // A shell that gets SIGHUP between starting a job and giving it the terminal would leave the job behind.
    eventually("it has the terminal", || {
        scene.sshd.serving().iter().any(|process| process.command == "sleep 5000").then_some(())
    });
    let (status, listed) = scene.served.ask("GET", "terminal/sessions", "").await;
    let session = &listed[0];
    assert_eq!((status, &session["user"], &session["workspace"]), (200, &json!("e2e"), &json!(WORKSPACE)));
    assert!(session["input_bytes"].as_u64() > Some(0) && session["output_bytes"].as_u64() > Some(0));
    let path = format!("terminal/sessions/{}", session["id"].as_str().unwrap());
    assert_eq!(scene.served.ask("DELETE", &path, "").await, (204, Value::Null));
    let farewell = viewer.finish().await;
    assert_eq!(farewell.close, Some((4404, "ended".into())), "{farewell:?}");
    scene.wait_until_clean();
    assert_eq!(scene.served.ask("GET", "terminal/sessions", "").await, (200, json!([])));
    scene.served.stop().await;
}
