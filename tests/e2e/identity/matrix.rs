//! Precedence in each verb: option, workspace setting, environment keys, AWS_PROFILE, default profile.

use std::fs;

use eice::workspace::BearerToken;

use super::{PLACES, Scene, profiles};
use crate::lab::{INSTANCE, LocalUser, Program, TOKEN, Viewer, WORKSPACE, eventually, request};

/// A verb: its name, its arguments, and whether `--directory` makes the instance a workspace.
type Verb = (&'static str, &'static [&'static str], bool);

const VERBS: [Verb; 13] = [
    ("ssh", &["ssh", "AT", "--", "true"], true),
    ("exec", &["exec", "AT", "--", "true"], true),
    ("cp", &["cp", "AT:/etc/passwd", "-"], true),
    ("tunnel", &["tunnel", "AT", "--max-tunnel-duration", "1"], true),
    ("tunnel --push-key", &["tunnel", "AT", "--max-tunnel-duration", "1", "--push-key", "key.pub"], true),
    ("push-key", &["push-key", "AT", "--key", "key.pub"], true),
    ("doctor", &["doctor", "AT"], true),
    ("policy", &["policy", "AT"], false),
    ("aws sts", &["aws", "sts", "get-caller-identity"], false),
    (
        "aws send-ssh-public-key",
        &[
            "aws",
            "ec2-instance-connect",
            "send-ssh-public-key",
            "--instance-id",
            INSTANCE,
            "--instance-os-user",
            "ec2-user",
            "--ssh-public-key",
            "file://key.pub",
        ],
        false,
    ),
    (
        "aws open-tunnel",
        &[
            "aws",
            "ec2-instance-connect",
            "open-tunnel",
            "--instance-id",
            INSTANCE,
            "--max-tunnel-duration",
            "1",
        ],
        false,
    ),
    (
        "aws ssh",
        &["aws", "ec2-instance-connect", "ssh", "--instance-id", INSTANCE, "--connection-type", "eice"],
        false,
    ),
    ("ssh by name", &["ssh", "workspace", "--", "true"], false),
];

impl Scene {
    /// Returns a directory with the instance as a workspace that has a profile.
    fn directory(&self) -> String {
        let file = self.shell.file("directory.toml");
        fs::write(&file, directory("workspace")).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

fn directory(profile: &str) -> String {
    format!(
        "[[workspace]]\nid = {WORKSPACE:?}\nname = \"w\"\ninstance = {INSTANCE:?}\nos_user = \"ec2-user\"\n\
         profile = {profile:?}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_follows_the_precedence() {
    let scene = Scene::start().await;
    crate::lab::keygen("ed25519", "", "", scene.shell.file("key"));
    let directory = scene.directory();
    let mut wrong = Vec::new();
    for (name, args, has_workspace) in VERBS {
        for place in PLACES {
            let in_workspace = place == "workspace" || (place == "option" && has_workspace);
            if in_workspace && !has_workspace {
                continue;
            }
            let at = if in_workspace { WORKSPACE } else { INSTANCE };
            let mut args: Vec<String> = args.iter().map(|word| word.replace("AT", at)).collect();
            for word in &mut args {
                *word = word.replace("key.pub", scene.shell.file("key.pub").to_str().unwrap());
            }
            // After the verb, before the `--` that ends the options.
            let options = 1;
            if in_workspace {
                args.splice(options..options, ["--directory".to_owned(), directory.clone()]);
            }
            if place == "option" {
                args.splice(options..options, ["--profile".to_owned(), "option".to_owned()]);
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let said = scene.run(&args, &Scene::variables(place)).await;
            let callers = scene.callers();
            if callers != [place] {
                wrong.push(format!("{name} with {place}: {callers:?}\n{args:?}\n{said:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_command_follows_the_precedence() {
    let scene = Scene::start().await;
    let local_user = LocalUser::new(&scene.world);
    let file = local_user.write("aws-config", profiles());
    for (place, option) in
        [("option", &["--profile", "option"][..]), ("environment", &[]), ("variable", &[]), ("default", &[])]
    {
        local_user.configure(option).await;
        let mut command = local_user.command("ssh");
        command.args([INSTANCE, "true"]).env("AWS_CONFIG_FILE", &file);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env_remove(name);
        }
        command.envs(Scene::variables(place));
        let said = crate::lab::run_to_end(command, b"").await;
        assert_eq!(scene.callers(), [place], "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_acts_as_the_workspaces_profile() {
    let scene = Scene::start().await;
    let digest = BearerToken::new(TOKEN).unwrap().digest();
    for (profile, section, place) in [
        (Some("workspace"), "[aws]\nprofile = \"option\"\n", "workspace"),
        (None, "[aws]\nprofile = \"option\"\n", "option"),
        (None, "", "environment"),
    ] {
        let mut text = directory(profile.unwrap_or_default());
        if profile.is_none() {
            text = text.replace("profile = \"\"\n", "");
        }
        text.push_str(&format!("[[token]]\nname = \"e2e\"\nsha256 = \"{digest}\"\nworkspaces = \"*\"\n"));
        let file = scene.shell.file("directory.toml");
        fs::write(&file, text).unwrap();
        let config = scene.shell.file("serve.toml");
        let text = format!(
            "{section}[directory]\nfile = {file:?}\n[gateway]\nallowed_origins = [\"http://acme.example\"]\n"
        );
        fs::write(&config, text).unwrap();
        let mut env = scene.shell.vars();
        env.push(("AWS_CONFIG_FILE", scene.shell.file(".aws/config").to_str().unwrap().to_owned()));
        env.extend(Scene::variables("environment"));
        let args = ["serve", "--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0", "--json"];
        let mut program = Program::start(&args, &env);
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("authorization", bearer.as_str()), ("host", "acme.example")];
        let path = format!("/workspaces/{WORKSPACE}/terminal/diagnose");
        let (status, body) = request(program.addr(), "GET", &path, &headers, "").await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(scene.callers(), [place], "{body}");
        let tunnels = || {
            let records = scene.world.emulator.records();
            records.iter().filter(|record| record.event_name == "OpenTunnel").count()
        };
        let before = tunnels();
        let viewer = Viewer::try_open(program.addr(), WORKSPACE, &headers).await.unwrap();
        eventually("the terminal's tunnel", || (tunnels() > before).then_some(()));
        viewer.leave().await;
        assert_eq!(scene.callers(), [place]);
        assert!(program.part.terminate().success(), "{}", program.stderr());
    }
}
