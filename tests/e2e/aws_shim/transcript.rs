//! Recorded runs of aws-cli (`fixtures/awscli`): command lines and results.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::scene::{Scene, ShimOutput, finish, instance};

/// The files, one for each topic.
pub(super) const TOPICS: [&str; 5] = ["usage", "identity", "send-key", "open-tunnel", "ssh"];

/// One recorded run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transcript {
    /// The arguments. `{INSTANCE}`, `{KEY}` (a public key), `{HOME}` and `{SSH_PORT}` are replaced in each run.
    pub(super) argv: Vec<String>,
    /// The world that it runs in.
    #[serde(default = "default_world", skip_serializing_if = "is_default_world")]
    pub(super) world: String,
    /// Added to the environment; null removes a variable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) env: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) stdin: String,
    /// The intended difference of the shim, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ours: Option<Ours>,
    /// The result; absent until it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) said: Option<Recorded>,
}

/// The result of aws-cli, with varying parts replaced.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recorded {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// How the shim differs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ours {
    /// The reason.
    pub(super) why: String,
    /// The exit status, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<i32>,
    /// Texts that stdout or stderr must contain; the rest is not compared.
    pub(super) contains: Vec<String>,
}

fn default_world() -> String {
    "default".to_owned()
}

fn is_default_world(world: &str) -> bool {
    world == "default"
}

fn file(topic: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/awscli/{topic}.json"))
}

/// Loads the transcripts of `topic`.
pub(super) fn load(topic: &str) -> Vec<Transcript> {
    let text = std::fs::read_to_string(file(topic)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{topic}: {error}"))
}

/// Writes the transcripts of `topic`.
pub(super) fn store(topic: &str, transcripts: &[Transcript]) {
    let text = serde_json::to_string_pretty(transcripts).unwrap();
    std::fs::write(file(topic), text + "\n").unwrap();
}

impl Transcript {
    /// Runs the command line in `scene`.
    pub(super) async fn run(&self, scene: &Scene) -> Recorded {
        let argv: Vec<String> = self.argv.iter().map(|arg| fill(arg, scene)).collect();
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let mut command = scene.aws(&argv);
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, fill(value, scene)),
                None => command.env_remove(name),
            };
        }
        let said = finish(command, self.stdin.as_bytes()).await;
        normal(&said, scene)
    }
}

fn ssh_port(scene: &Scene) -> String {
    let addr = scene.world.emulator.ssh_addr(&scene.world.instance());
    addr.map(|addr| addr.port().to_string()).unwrap_or_default()
}

fn fill(text: &str, scene: &Scene) -> String {
    text.replace("{INSTANCE}", instance())
        .replace("{KEY}", &scene.public_key())
        .replace("{HOME}", scene.home.path().to_str().unwrap())
        .replace("{SSH_PORT}", &ssh_port(scene))
}

/// Replaces the varying parts of `said`: request ids, times, ports, folders, versions.
fn normal(said: &ShimOutput, scene: &Scene) -> Recorded {
    let text = |text: &str| {
        let text = text
            .replace(scene.home.path().to_str().unwrap(), "{HOME}")
            .replace(&scene.world.emulator.access().api_url(), "{API}")
            .replace(&scene.public_key(), "{KEY}");
        let mut out = String::new();
        for line in text.split_inclusive('\n') {
            // `2026-11-24 08:46:23,571 - name - ERROR - text`
            let line = match line.split_once(" - awscli.") {
                Some((time, rest)) if time.len() == 23 => format!("{{TIME}} - awscli.{rest}"),
                _ => line.to_owned(),
            };
            match line.strip_prefix("aws-cli/2.") {
                Some(_) => out.push_str("aws-cli/2.{VERSION}\n"),
                None => out.push_str(&line),
            }
        }
        without_uuids(&out)
    };
    Recorded { code: said.code, stdout: text(&said.stdout), stderr: text(&said.stderr) }
}

fn without_uuids(text: &str) -> String {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let is_uuid = |at: usize| {
        text.get(at..at + 36).is_some_and(|part| {
            part.bytes()
                .enumerate()
                .all(|(n, b)| if DASHES.contains(&n) { b == b'-' } else { b.is_ascii_hexdigit() })
        })
    };
    let (mut out, mut at) = (String::new(), 0);
    while let Some(c) = text[at..].chars().next() {
        if is_uuid(at) {
            out.push_str("{UUID}");
            at += 36;
        } else {
            out.push(c);
            at += c.len_utf8();
        }
    }
    out
}
