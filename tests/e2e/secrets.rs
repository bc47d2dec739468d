//! No secret appears in any output, even at trace level in every library.

use eice::emulator::{Backend, EmulatorConfig, IamUser, InstanceSpec, UpgradeFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{ClientShell, INSTANCE, Program, Viewer, World};

const SECRET: &str = "canary-secret+access/key";
const TOKEN: &str = "canary-session/token+==";

/// Returns the forms in which `text` may appear in a log: plain, percent-encoded, hexadecimal, and as a list of bytes.
fn spellings(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let percent = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let list: Vec<_> = bytes.iter().map(u8::to_string).collect();
    vec![
        text.to_owned(),
        bytes.iter().map(percent).collect(),
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        list.join(", "),
    ]
}

#[track_caller]
fn assert_hides(log: &str, secrets: &[&str]) {
    for secret in secrets {
        for spelling in spellings(secret) {
            let at = log.find(&spelling);
            assert!(at.is_none(), "{secret:?}: {}", &log[at.unwrap().saturating_sub(200)..][..200]);
        }
    }
    // Neither a presigned URL's signature nor a header's.
    for mark in ["X-Amz-Signature=", "Signature="] {
        for (at, _) in log.match_indices(mark) {
            let signature: String = log[at + mark.len()..].chars().take(64).collect();
            let is_signature = signature.len() == 64 && signature.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(!is_signature, "a signature is in the log: {mark}{signature}");
        }
    }
    assert!(!log.contains("PRIVATE KEY"));
}

async fn world() -> World {
    let principal = IamUser {
        access_key_id: "ASIACANARY".into(),
        secret_access_key: SECRET.into(),
        session_token: Some(TOKEN.into()),
        ..IamUser::default()
    };
    World::with(EmulatorConfig { principals: vec![principal], ..EmulatorConfig::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn client_trace_has_no_secret() {
    let world = world().await;
    let secrets = [SECRET, TOKEN, "canary-keys", "canary-output"];
    for format in ["text", "json"] {
        let mut shell = ClientShell::new(&world);
        shell.export("EICE_LOG", "trace");
        shell.export("EICE_LOG_FORMAT", format);
        let said =
            shell.run(&["ssh", INSTANCE, "--", "cat; printf canary-%s output"], b"canary-keys\n").await;
        assert_eq!(said.expect_success(), "canary-keys\ncanary-output");
        // The log has lines of every library that handles a secret.
        for present in ["eice::", "aws_sigv4", "tokio_tungstenite", "rustls", "russh", "ASIACANARY"] {
            assert!(said.stderr.contains(present), "{present} is not in the log");
        }
        assert_hides(&said.stderr, &secrets);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_has_no_secret() {
    let world = world().await;
    world.emulator.faults().update(|faults| faults.upgrade = Some(UpgradeFault::Refuse(Default::default())));
    let mut shell = ClientShell::new(&world);
    shell.export("EICE_LOG", "trace");
    let proxy = "http://user:canary-proxy-password@127.0.0.1:9";
    for proxy in [None, Some(proxy)] {
        if let Some(proxy) = proxy {
            shell.export("HTTPS_PROXY", proxy);
        }
        let said = shell.run(&["ssh", INSTANCE, "--", "true"], b"").await;
        assert_ne!(said.code, Some(0));
        assert!(said.stderr.contains("hint: "), "{}", said.stderr);
        assert_hides(&said.stderr, &[SECRET, TOKEN, "canary-proxy-password"]);
    }
}

/// Without SSH, the WebSocket library gets the bytes unencrypted.
#[tokio::test(flavor = "multi_thread")]
async fn tunnel_trace_has_no_payload() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = Backend::Forward(listener.local_addr().unwrap());
    let instances = vec![InstanceSpec { backend, ..InstanceSpec::default() }];
    let world = World::with(EmulatorConfig { instances, ..EmulatorConfig::default() }).await;
    let target = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 11]).await.unwrap();
        stream.write_all(b"canary-output").await.unwrap();
    });
    let mut shell = ClientShell::new(&world);
    shell.export("EICE_LOG", "trace");
    let said = shell.run(&["tunnel", INSTANCE], b"canary-keys").await;
    assert_eq!(said.expect_success(), "canary-output");
    target.await.unwrap();
    assert!(said.stderr.contains("tokio_tungstenite"), "the log is there");
    assert_hides(
        &said.stderr,
        &["canary-keys", "canary-output", world.emulator.access().secret_access_key()],
    );
}

/// Gateway, client, emulator and instance in one process, at trace level.
#[tokio::test(flavor = "multi_thread")]
async fn demo_trace_has_no_secret() {
    // Without an engine, workspaces are local shells.
    let env = [("DOCKER_HOST", "unix:///nonexistent".to_owned()), ("EICE_LOG", "trace".to_owned())];
    let demo = Program::start(&["demo", "--listen", "127.0.0.1:0", "--json"], &env);
    let token = demo.ready.token.clone().unwrap();
    let mut viewer = Viewer::open(demo.addr(), demo.ready.workspace.as_deref().unwrap(), &token).await;
    viewer.line("echo canary-key's'; echo do''ne").await;
    viewer.until("done").await;
    viewer.line("exit").await;
    viewer.finish().await;
    let log = demo.stderr();
    for present in ["eice::gateway", "eice::", "russh", "tokio_tungstenite"] {
        assert!(log.contains(present), "{present} is not in the log");
    }
    let secret = demo.ready.credentials.clone().unwrap().secret_access_key;
    assert_hides(&log, &[&token, &secret, "canary-key"]);
}
