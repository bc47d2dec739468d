//! Malformed configuration: an error or a success, never a panic.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use super::Scene;
use crate::lab::{INSTANCE, Program, TOKEN, WORKSPACE, request, run_to_end};

const ODD: [&[u8]; 9] = [
    b"0",
    b"-1",
    b"99999999999999999999999999",
    b"1e999",
    b"x\ny: z",
    b"\xff\xfe",
    b"\xf0\x9f\xa6\x80",
    b"/",
    b"http://[",
];

const VARIABLES: [&str; 24] = [
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_MAX_ATTEMPTS",
    "AWS_RETRY_MODE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_EXECUTION_ENV",
    "AWS_SDK_UA_APP_ID",
    "AWS_DEFAULT_OUTPUT",
];

const PROPERTIES: [&str; 14] = [
    "region",
    "max_attempts",
    "retry_mode",
    "aws_access_key_id",
    "aws_session_token",
    "role_arn",
    "duration_seconds",
    "source_profile",
    "credential_source",
    "web_identity_token_file",
    "sso_account_id",
    "endpoint_url",
    "services",
    "ca_bundle",
];

#[tokio::test(flavor = "multi_thread")]
async fn odd_variables_never_panic() {
    let scene = Scene::start().await;
    scene.write("");
    let args = ["aws", "sts", "get-caller-identity"];
    for name in VARIABLES {
        for value in ODD {
            let mut command = scene.shell.command(&args);
            command.envs(Scene::variables("environment"));
            if name.starts_with("AWS_CONTAINER") || name.starts_with("AWS_EC2") || name.starts_with("AWS_WEB")
            {
                command.env_remove("AWS_ACCESS_KEY_ID").env("AWS_CONFIG_FILE", "/dev/null");
                command.env(
                    "AWS_EC2_METADATA_DISABLED",
                    if name.starts_with("AWS_EC2") { "false" } else { "true" },
                );
                command.env("AWS_ROLE_ARN", "arn:x").env_remove("AWS_REGION").env("AWS_REGION", "eu-west-1");
            }
            command.env(name, OsStr::from_bytes(value));
            let said = run_to_end(command, b"").await;
            let text = format!("{name}={}: {said:?}", String::from_utf8_lossy(value));
            assert!([0, 252, 253, 254, 255].contains(&said.code.unwrap_or(-1)), "{text}");
            assert!(!said.stderr.contains("panicked"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_files_never_panic() {
    let scene = Scene::start().await;
    let config = scene.shell.file(".aws/config");
    let args = ["aws", "sts", "get-caller-identity"];
    let check = async |what: &str| {
        let said = scene.run(&args, &[]).await;
        assert!([0, 252, 253, 254, 255].contains(&said.code.unwrap_or(-1)), "{what}: {said:?}");
        assert!(!said.stderr.contains("panicked") && !said.stderr.contains("WARN"), "{what}: {said:?}");
    };
    for key in PROPERTIES {
        for value in ODD.iter().filter(|value| !value.contains(&b'\n')) {
            let text = [
                &b"[default]\naws_access_key_id = k\naws_secret_access_key = s\n"[..],
                key.as_bytes(),
                b" = ",
                value,
            ];
            std::fs::write(&config, text.concat()).unwrap();
            check(&format!("{key} = {}", String::from_utf8_lossy(value))).await;
        }
    }
    for text in [
        &b"[default"[..],
        b"[]\n",
        b"[ ]\nx",
        b"x = 1",
        b"[default]\n = 1",
        b"[profile]\n",
        b"[default]\n  x",
        b"\0",
    ] {
        std::fs::write(&config, text).unwrap();
        check(&String::from_utf8_lossy(text)).await;
    }
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o000)).unwrap();
    check("unreadable").await;
    std::fs::remove_file(&config).unwrap();
    std::fs::create_dir(&config).unwrap();
    check("a directory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_reports_odd_settings_and_goes_on() {
    let scene = Scene::start().await;
    let digest = eice::workspace::BearerToken::new(TOKEN).unwrap().digest();
    let directory = scene.shell.file("directory.toml");
    let text = format!(
        "[[workspace]]\nid = {WORKSPACE:?}\nname = \"w\"\ninstance = {INSTANCE:?}\nos_user = \"ec2-user\"\nprofile = \"odd\"\n\
         [[token]]\nname = \"e2e\"\nsha256 = \"{digest}\"\nworkspaces = \"*\"\n"
    );
    std::fs::write(&directory, text).unwrap();
    scene.write("[profile odd]\nretry_mode = x\nmax_attempts = 0\n");
    let config = scene.shell.file("serve.toml");
    let text = format!(
        "[directory]\nfile = {directory:?}\n[gateway]\nallowed_origins = [\"http://acme.example\"]\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut env = scene.shell.vars();
    env.push(("AWS_CONFIG_FILE", scene.shell.file(".aws/config").to_str().unwrap().to_owned()));
    let args = ["serve", "--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0", "--json"];
    let mut program = Program::start(&args, &env);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("host", "acme.example")];
    let path = format!("/workspaces/{WORKSPACE}/terminal/diagnose");
    for _ in 0..2 {
        let (status, body) = request(program.addr(), "GET", &path, &headers, "").await;
        assert!(status == 200 && body.contains("retry_mode"), "{status} {body}");
    }
    // An edited file takes effect without a restart.
    scene.write(&super::profiles().replace("[profile option]", "[profile odd]"));
    let (_, body) = request(program.addr(), "GET", &path, &headers, "").await;
    assert_eq!(scene.callers(), ["option"], "{body}");
    assert!(program.part.terminate().success());
    assert!(!program.stderr().contains("panicked"), "{}", program.stderr());
}
