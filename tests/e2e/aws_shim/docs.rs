//! Checks each row of the tables in `docs/aws-cli.md` against the program.

use std::path::Path;

use super::scene::{Scene, instance};

/// A row: the table's command, the option, and what the program does with it.
struct Row {
    command: String,
    option: String,
    fate: String,
}

/// Returns the rows of the tables under headings that name a command or every command.
fn rows() -> Vec<Row> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/aws-cli.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (mut rows, mut command) = (Vec::new(), String::new());
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            command = heading.trim_matches('`').to_owned();
        }
        if line.starts_with("## ") {
            command.clear();
        }
        let line = line.replace("\\|", "/");
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [option, fate, _] = cells.as_slice()
            && !command.is_empty()
            && let Some(option) = option.strip_prefix("`--")
        {
            let name = option.split(['`', ' ']).next().unwrap();
            rows.push(Row {
                command: command.clone(),
                option: format!("--{name}"),
                fate: (*fate).to_owned(),
            });
        }
    }
    rows
}

/// Returns a valid value for an option that takes one.
fn sample(option: &str) -> Option<&'static str> {
    Some(match option {
        "--debug"
        | "--no-verify-ssl"
        | "--no-paginate"
        | "--version"
        | "--no-sign-request"
        | "--no-cli-pager"
        | "--cli-auto-prompt"
        | "--no-cli-auto-prompt" => return None,
        "--output" => "json",
        "--color" => "off",
        "--query" => "@",
        "--region" => "eu-west-1",
        "--cli-read-timeout" | "--cli-connect-timeout" => "5",
        "--cli-binary-format" => "base64",
        "--cli-error-format" => "enhanced",
        other => panic!("no value for {other}"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_options_behave() {
    let scene = Scene::start().await;
    let identity = ["sts", "get-caller-identity"];
    let plain = scene.run(&identity, b"").await;
    let (api, ca) = (
        scene.world.emulator.access().api_url(),
        scene.world.emulator.access().ca_file().to_str().unwrap().to_owned(),
    );
    std::fs::create_dir(scene.home.path().join(".aws")).unwrap();
    // A profile that is named has credentials of its own.
    let env = scene.env();
    let key = |name: &str| env.iter().find(|(known, _)| known == name).unwrap().1.clone();
    let profile = format!(
        "[profile p]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key("AWS_ACCESS_KEY_ID"),
        key("AWS_SECRET_ACCESS_KEY")
    );
    std::fs::write(scene.home.path().join(".aws/config"), profile).unwrap();
    let of_all: Vec<Row> = rows().into_iter().filter(|row| row.command == "Every command").collect();
    assert_eq!(of_all.len(), 19);
    for Row { option, fate, .. } in of_all {
        let value = match option.as_str() {
            "--endpoint-url" => Some(api.as_str()),
            "--ca-bundle" => Some(ca.as_str()),
            "--profile" => Some("p"),
            other => sample(other),
        };
        let args: Vec<&str> = identity.iter().copied().chain([option.as_str()]).chain(value).collect();
        let said = scene.run(&args, b"").await;
        match (fate.as_str(), option.as_str()) {
            ("refused", _) => {
                assert_eq!(said.code, 252, "{option}: {said:?}");
                assert!(
                    said.stderr.contains(&format!("{option} is not supported by eice's aws")),
                    "{said:?}"
                );
            }
            ("accepted", "--version") => assert!(said.stdout.starts_with("aws-cli/2."), "{said:?}"),
            ("accepted" | "ignored", _) => {
                assert_eq!((said.code, &said.stdout), (0, &plain.stdout), "{option}: {}", said.stderr);
            }
            other => panic!("{option}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_belong_to_one_command() {
    let scene = Scene::start().await;
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.command != "Every command").collect();
    let commands: std::collections::BTreeSet<String> = rows.iter().map(|row| row.command.clone()).collect();
    assert_eq!(commands.len(), 4);
    for row in &rows {
        let words: Vec<&str> = row.command.split(' ').skip(1).collect();
        // Another mistake, which is reported after the options are read.
        let args: Vec<&str> =
            words.iter().copied().chain([row.option.as_str(), instance(), "--not-an-option"]).collect();
        let said = scene.run(&args, b"").await;
        assert!(!said.stderr.contains(&format!("Unknown options: {}", row.option)), "{said:?}");
        match row.fate.as_str() {
            "accepted" => assert!(!said.stderr.contains("is not supported"), "{said:?}"),
            "refused" => {
                let required =
                    ["--instance-id", "i-0123456789", "--instance-os-user", "u", "--ssh-public-key", "k"];
                let required = if words[1] == "send-ssh-public-key" { &required[..] } else { &[] };
                let args: Vec<&str> = words
                    .iter()
                    .copied()
                    .chain(required.iter().copied())
                    .chain([row.option.as_str(), "x"])
                    .collect();
                let said = scene.run(&args, b"").await;
                assert_eq!(said.code, 252, "{said:?}");
                assert!(said.stderr.contains(&format!("{} is not supported", row.option)), "{said:?}");
            }
            other => panic!("{}: {other}", row.option),
        }
    }
}
