//! Credentials that need the user: an MFA code, an interactive credential process.

use super::{ROLE, Scene, key_id, secret};
use crate::lab::{INSTANCE, Tty};

const STS: [&str; 5] = ["aws", "sts", "get-caller-identity", "--query", "Arn"];

/// Returns the typed code, as received by STS.
fn codes(scene: &Scene) -> Vec<serde_json::Value> {
    let records = scene.world.emulator.records();
    let assumed = records.iter().filter(|record| record.event_name == "AssumeRole");
    assumed.map(|record| record.request_parameters.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn mfa_code_is_asked_for_once() {
    let scene = Scene::start().await;
    let serial = "arn:aws:iam::123456789012:mfa/me";
    scene.write(&format!(
        "[profile role]\nrole_arn = {ROLE}\nsource_profile = option\nmfa_serial = {serial}\n"
    ));
    let env = scene.shell.vars();
    for args in [
        &[&STS[..], &["--profile", "role"]].concat()[..],
        &["ssh", "--profile", "role", INSTANCE, "--", "true"],
    ] {
        let before = codes(&scene).len();
        let mut tty = Tty::start(args, &env, scene.shell.home.path(), None);
        tty.until(&format!("Enter MFA code for {serial}: "));
        tty.types("998877\r");
        assert!(tty.ends().success(), "{}", tty.said());
        assert!(!tty.said().contains("998877"), "the code is not shown: {}", tty.said());
        assert_eq!(codes(&scene).len(), before + 1, "{args:?}");
        assert_eq!(codes(&scene)[before]["serialNumber"], serial);
        assert_eq!(scene.callers(), ["terminal"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn process_may_ask_on_the_terminal() {
    let scene = Scene::start().await;
    let script = format!(
        "printf 'PIN: ' >&2; read pin; [ \"$pin\" = 42 ] && echo '{{\"Version\":1,\"AccessKeyId\":\"{}\",\
         \"SecretAccessKey\":\"{}\"}}'",
        key_id("option"),
        secret("option")
    );
    std::fs::write(scene.shell.file("get"), script).unwrap();
    scene.write(&format!("[profile ask]\ncredential_process = sh {}\n", scene.shell.file("get").display()));
    let env = scene.shell.vars();
    let args = ["ssh", "--profile", "ask", INSTANCE, "--", "true"];
    let mut tty = Tty::start(&args, &env, scene.shell.home.path(), None);
    tty.until("PIN: ");
    tty.types("42\r");
    assert!(tty.ends().success(), "{}", tty.said());
    assert_eq!(scene.callers(), ["option"]);
    // Without a terminal it reads nothing: stdin belongs to the command.
    let said = crate::lab::run_to_end(scene.detached(&args), b"42\n").await;
    assert!(said.code == Some(78) && said.stderr.contains("credential_process"), "{said:?}");
}
