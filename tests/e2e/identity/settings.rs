//! Roles, names and settings of profiles, and the errors for unusable ones.

use super::{PLACES, ROLE, Scene};
use crate::lab::{CommandOutput, INSTANCE};

const STS: [&str; 3] = ["aws", "sts", "get-caller-identity"];
const SSH: [&str; 4] = ["ssh", INSTANCE, "--", "true"];

fn role(more: &str) -> String {
    format!("[profile role]\nrole_arn = {ROLE}\n{more}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn role_profile_is_assumed_in_every_form() {
    let scene = Scene::start().await;
    let env = Scene::variables("environment");
    for (more, verb) in [
        ("source_profile = option", "the keys of a profile"),
        ("credential_source = Environment", "the environment's keys"),
        ("source_profile = process\n[profile process]\ncredential_process = sh get", "a process"),
    ] {
        let keys = scene.world.emulator.access();
        let script = format!(
            "echo '{{\"Version\":1,\"AccessKeyId\":\"{}\",\"SecretAccessKey\":\"{}\"}}'",
            keys.access_key_id(),
            keys.secret_access_key()
        );
        std::fs::write(scene.shell.file("get"), script).unwrap();
        scene.write(&role(&more.replace("sh get", &format!("sh {}", scene.shell.file("get").display()))));
        let said = scene.run(&[&["ssh", "--profile", "role"], &SSH[1..]].concat(), &env).await;
        said.expect_success();
        assert_eq!(scene.callers(), ["terminal"], "{verb}: {said:?}");
        let said = scene.run(&[&STS[..], &["--profile", "role"]].concat(), &env).await;
        assert!(said.expect_success().contains(":assumed-role/terminal/"), "{verb}: {said:?}");
        scene.callers();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quoted_names_and_foreign_sections_are_silent() {
    let scene = Scene::start().await;
    let keys = format!("aws_access_key_id = {}", super::key_id("option"));
    let secret = super::secret("option");
    scene.write(&format!(
        "[plugins]\ncli_legacy_plugin_path = /usr/lib\n[odd section]\nx = 1\n[bare]\ny = 2\n[preview]\nz = true\n\
         [profile \"my prof\"]\n{keys}\naws_secret_access_key = {secret}\n"
    ));
    for args in [
        &[&["ssh", "--profile", "my prof"], &SSH[1..]].concat()[..],
        &[&["ssh", "-q", "--profile", "my prof"], &SSH[1..]].concat(),
        &["tunnel", "--profile", "my prof", INSTANCE, "--max-tunnel-duration", "1"],
        &[&STS[..], &["--profile", "my prof"]].concat(),
    ] {
        let said = scene.run(args, &[]).await;
        assert_eq!(scene.callers(), ["option"], "{said:?}");
        assert!(!said.stderr.contains("WARN"), "{args:?}: {}", said.stderr);
        assert!(args[0] == "tunnel" || said.stderr.is_empty(), "{args:?}: {}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_settings_count_for_every_call() {
    let scene = Scene::start().await;
    let env = |more: &[(&'static str, &str)]| {
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Scene::variables("default").into_iter().chain(more).collect::<Vec<_>>()
    };
    for (name, file) in
        [("AWS_MAX_ATTEMPTS", ""), ("UNUSED", "[default]\nmax_attempts = 6\nretry_mode = legacy\n")]
    {
        scene.write(file);
        // One call by eice, and two by the SDK.
        let push = ["push-key", INSTANCE, "--key", "key.pub"];
        crate::lab::keygen("ed25519", "", "", scene.shell.file("key"));
        let key = scene.shell.file("key.pub");
        let push = push.map(|word| if word == "key.pub" { key.to_str().unwrap() } else { word });
        for args in [&["policy", INSTANCE][..], &STS, &push] {
            scene.world.emulator.faults().update(|faults| faults.api_throttled = 4);
            scene.run(args, &env(&[(name, "6")])).await.expect_success();
        }
        std::fs::remove_file(scene.shell.file("key")).unwrap();
    }
    scene.write("");
    scene.world.emulator.faults().update(|faults| faults.api_throttled = u32::MAX);
    let said = scene.run(&STS, &env(&[("AWS_MAX_ATTEMPTS", "2")])).await;
    assert!(said.code == Some(254) && said.stderr.contains("(reached max retries: 1)"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_endpoint_urls_count_as_unset() {
    let scene = Scene::start().await;
    let url = scene.world.emulator.access().api_url();
    scene.write(&format!("[default]\nendpoint_url = {url}\n"));
    let empty = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_STS"]
        .map(|name| (name, String::new()));
    scene.run(&SSH, &empty).await.expect_success();
    scene.run(&STS, &empty).await.expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn shim_takes_its_forms_from_the_profile() {
    let scene = Scene::start().await;
    scene.write("[profile text]\noutput = text\ncli_error_format = json\n\n");
    std::fs::write(
        scene.shell.file(".aws/credentials"),
        format!(
            "[text]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            super::key_id("option"),
            super::secret("option")
        ),
    )
    .unwrap();
    let account = [&STS[..], &["--query", "Account"]].concat();
    let by_option = [&account[..], &["--profile", "text"]].concat();
    assert_eq!(scene.run(&by_option, &[]).await.expect_success(), "123456789012\n");
    let variable = [("AWS_PROFILE", "text".to_owned())];
    assert_eq!(scene.run(&account, &variable).await.expect_success(), "123456789012\n");
    let over = [("AWS_PROFILE", "text".to_owned()), ("AWS_DEFAULT_OUTPUT", "json".to_owned())];
    assert_eq!(scene.run(&account, &over).await.expect_success(), "\"123456789012\"\n");
    let said = scene.run(&[&STS[..], &["--nonsense"]].concat(), &variable).await;
    assert_eq!(said.code, Some(252), "{said:?}");
    let bad = ["aws", "--query", "a[", "sts", "get-caller-identity"];
    let said = scene.run(&bad, &variable).await;
    assert!(said.stderr.starts_with("{\n    \"Code\": \"ParamValidation\""), "{said:?}");
}

/// Asserts the exit codes of the verb and of the shim, and `words` in both errors.
#[tokio::test(flavor = "multi_thread")]
async fn unusable_credentials_say_why_in_a_few_words() {
    let scene = Scene::start().await;
    let set = |pairs: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let denied =
        "[profile denied]\nrole_arn = arn:aws:iam::123456789012:role/absent\nsource_profile = option\n";
    let mfa = role("source_profile = option\nmfa_serial = arn:aws:iam::123456789012:mfa/me");
    let login = "[profile login]\nlogin_session = arn:aws:iam::123456789012:user/me\n";
    let sso = "[profile sso]\nsso_session = my sso\nsso_account_id = 123456789012\nsso_role_name = r\n\
        [sso-session \"my sso\"]\nsso_region = eu-west-1\nsso_start_url = https://sso.example\n";
    let profile = |name| set(&[("AWS_PROFILE", name)]);
    for (file, variables, codes, words) in [
        ("", profile("nope"), (78, 255), &["nope"][..]),
        (
            "",
            set(&[("AWS_PROFILE", "nope"), ("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")]),
            (78, 255),
            &["nope"],
        ),
        ("", set(&[("AWS_DEFAULT_PROFILE", "nope")]), (78, 255), &["nope"]),
        ("", set(&[("AWS_ACCESS_KEY_ID", "AKIDHALF")]), (78, 255), &["env", "AWS_SECRET_ACCESS_KEY"]),
        (denied, profile("denied"), (77, 254), &["AccessDenied", "sts:AssumeRole"]),
        (&mfa, profile("role"), (78, 255), &["MFA", "mfa/me"]),
        (login, profile("login"), (78, 255), &["aws login"]),
        (sso, profile("sso"), (78, 255), &["aws sso login --profile sso"]),
        ("[default]\nretry_mode = x\n", vec![], (78, 255), &["retry_mode", "default"]),
        ("", set(&[("AWS_MAX_ATTEMPTS", "x")]), (78, 255), &["AWS_MAX_ATTEMPTS"]),
    ] {
        scene.write(file);
        let check = |said: &CommandOutput, code: i32| {
            assert_eq!(said.code, Some(code), "{variables:?}: {said:?}");
            for word in words {
                assert!(said.stderr.contains(word), "{variables:?}: no {word:?} in {}", said.stderr);
            }
            assert!(said.stderr.len() < 600, "{}", said.stderr);
            for dump in ["Some(", "ErrorMetadata", "unhandled", "panicked", "\\n", "WARN"] {
                assert!(!said.stderr.contains(dump), "{variables:?}: {dump} in {}", said.stderr);
            }
        };
        check(&scene.run(&SSH, &variables).await, codes.0);
        check(&scene.run(&STS, &variables).await, codes.1);
    }
    // No credentials at all.
    std::fs::write(scene.shell.file(".aws/config"), "").unwrap();
    let said = scene.run(&SSH, &[]).await;
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(
        said.stderr.starts_with("eice: credentials: no AWS credentials were found\n  hint: "),
        "{}",
        said.stderr
    );
    assert!(said.stderr.lines().count() == 2 && said.stderr.len() < 300, "{}", said.stderr);
    let said = scene.run(&STS, &[]).await;
    assert!(said.code == Some(253) && said.stderr.contains("Unable to locate credentials."), "{said:?}");
    assert!(scene.callers().iter().all(|caller| !PLACES.contains(&caller.as_str()) || caller == "option"));
}
