//! Valid directory files, and the problems of invalid ones.

use super::*;
use crate::model::{EndpointChoice, Shell, Target};

const A: &str = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
const B: &str = "1a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
/// `printf %s abc | sha256sum`
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// `printf %s xyz | sha256sum`
const XYZ: &str = "3608bca1e44ea6c4d268eb6db02260269892c0b42b86bbf1e77a6fa16c3c9282";

fn whole() -> String {
    format!(
        r#"
[[workspace]]
id = "{A}"
name = "prod-agent"
status = "degraded"
instance = "i-0123456789abcdef0"
os_user = "ubuntu"
region = "eu-west-1"
profile = "prod"
role_arn = "arn:aws:iam::123456789012:role/terminal"
external_id = "x"
endpoint = "eice-0123456789abcdef0"
endpoint_dns_name = "eice-0123456789abcdef0.b05c1ae9.ec2-instance-connect-endpoint.eu-west-1.amazonaws.com"
address = "10.0.0.7"
address_family = "ipv4"
port = 2222
max_duration = 1800
container = "ws-0a1b2c3d"
engine = ["sudo", "-n", "docker"]
env = {{ LANG = "de_DE.UTF-8" }}

[[workspace]]
id = "{B}"
name = "bare"
instance = "i-1"

[[token]]
name = "ci"
sha256 = "{ABC}"
workspaces = ["{B}"]

[[token]]
name = "admin"
sha256 = "{XYZ}"
workspaces = "*"
"#
    )
}

fn problems(text: &str) -> Vec<String> {
    match FileDirectory::parse(text) {
        Err(FileError::Invalid { problems }) => problems.iter().map(Problem::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_whole_file_is_read() {
    let directory = FileDirectory::parse(&whole()).unwrap();
    let found = directory.find(A.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.status.as_str()), ("prod-agent", "degraded"));
    let Target::Instance(target) = found.target else { panic!("no instance") };
    assert_eq!(target.os_user.as_str(), "ubuntu");
    assert_eq!(target.account.profile.as_deref(), Some("prod"));
    assert_eq!(target.port.get(), 2222);
    assert_eq!(target.max_duration.unwrap().as_secs(), 1800);
    assert!(matches!(target.endpoint, EndpointChoice::Known { .. }));
    let Shell::Container(shell) = target.shell else { panic!("no container") };
    assert_eq!(shell.engine, ["sudo", "-n", "docker"]);
    let env: Vec<_> = shell.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, [("LANG", "de_DE.UTF-8"), ("MOLECULE_WS_ID", A)]);

    let bare = directory.find(B.parse().unwrap()).await.unwrap().unwrap();
    let Target::Instance(bare) = bare.target else { panic!("no instance") };
    assert_eq!((bare.shell, bare.os_user.as_str()), (Shell::Login, "ec2-user"));
    assert!(directory.find(WorkspaceId::random()).await.unwrap().is_none());
}

#[tokio::test]
async fn workspace_without_instance_is_a_container() {
    let text = format!(
        r#"
[[workspace]]
id = "{A}"
name = "Dev Lead"
runtime = "hermes"
[[workspace]]
id = "{B}"
name = "below"
parent = "{A}"
container = "mine"
env = {{ LANG = "C" }}
"#
    );
    let directory = FileDirectory::parse(&text).unwrap();
    let find = async |id: &str| directory.find(id.parse().unwrap()).await.unwrap().unwrap();
    let named = |workspace: &Workspace| {
        let Target::Local(local) = &workspace.target else { panic!("an instance") };
        let env = local.env.iter().map(|(name, value)| format!("{name}={value}"));
        (local.candidates.iter().map(ToString::to_string).collect::<Vec<_>>(), env.collect::<Vec<_>>())
    };
    let lead = find(A).await;
    assert_eq!((lead.runtime.as_deref(), lead.parent), (Some("hermes"), None));
    let names = ["ws-0a1b2c3d-4e5", "ws-0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9", "dev-lead"];
    assert_eq!(named(&lead), (names.map(str::to_owned).to_vec(), vec![format!("MOLECULE_WS_ID={A}")]));
    let below = find(B).await;
    assert_eq!(below.parent, Some(lead.id));
    let env = ["LANG=C".to_owned(), format!("MOLECULE_WS_ID={B}")];
    assert_eq!(named(&below), (vec!["mine".to_owned()], env.to_vec()));
    let lineage = directory.lineage(below.id).await.unwrap().unwrap();
    assert_eq!(lineage.parent, Some(lead.id));
}

#[test]
fn instance_settings_need_an_instance() {
    let only = [
        "os_user = 'a'",
        "region = 'a'",
        "profile = 'a'",
        "role_arn = 'a'",
        "external_id = 'a'",
        "endpoint = 'a'",
        "endpoint_dns_name = 'a'",
        "address = 'a'",
        "address_family = 'any'",
        "port = 22",
        "max_duration = 60",
        "command = 'a'",
        "engine = ['a']",
    ];
    let text = format!("[[workspace]]\nid = '{A}'\nname = 'a'\n{}\n", only.join("\n"));
    let problems = problems(&text);
    assert_eq!(problems.len(), only.len(), "{problems:#?}");
    for (problem, field) in problems.iter().zip(only) {
        let key = field.split(' ').next().unwrap();
        assert!(problem.contains(&format!(": {key} needs instance")), "{problem}");
    }
}

#[tokio::test]
async fn a_token_opens_what_the_file_says() {
    let directory = FileDirectory::parse(&whole()).unwrap();
    let ci = BearerToken::new("abc").unwrap();
    let ci = directory.authenticate(&ci).await.unwrap().unwrap();
    assert_eq!(ci.name, "ci");
    let names: Vec<_> = directory.list(&ci).await.unwrap().into_iter().map(|w| w.name).collect();
    assert_eq!(names, ["bare"]);
    let admin = BearerToken::new("xyz").unwrap();
    let admin = directory.authenticate(&admin).await.unwrap().unwrap();
    let names: Vec<_> = directory.list(&admin).await.unwrap().into_iter().map(|w| w.name).collect();
    assert_eq!(names, ["bare", "prod-agent"]);
    for wrong in ["abcd", "ab", "ABC", ABC] {
        let wrong = BearerToken::new(wrong).unwrap();
        assert!(directory.authenticate(&wrong).await.unwrap().is_none(), "{}", wrong.expose());
    }
}

#[tokio::test]
async fn reload_replaces_every_entry() {
    let directory = FileDirectory::parse(&whole()).unwrap();
    let token = BearerToken::new("abc").unwrap();
    assert!(directory.authenticate(&token).await.unwrap().is_some());
    let text = format!("[[workspace]]\nid = \"{B}\"\nname = \"b\"\ninstance = \"i-2\"\n");
    directory.replace(FileDirectory::parse(&text).unwrap());
    assert!(directory.authenticate(&token).await.unwrap().is_none());
    assert!(directory.find(A.parse().unwrap()).await.unwrap().is_none());
    assert_eq!(directory.find(B.parse().unwrap()).await.unwrap().unwrap().name, "b");
}

#[test]
fn the_example_is_a_directory() {
    let example = include_str!("../../../docs/directory.example.toml");
    let directory = FileDirectory::parse(example).unwrap();
    assert_eq!((directory.workspaces().len(), directory.entries().tokens.len()), (3, 2));
}

#[test]
fn all_problems_are_reported_with_lines() {
    let text = format!(
        r#"
[[workspace]]
id = "acme"
name = ""
instance = 5
os_usr = "ubuntu"
region = "eu west"
endpoint = "i-1"
address = "10.0.0"
port = 0x16
max_duration = 3601
container = "$(id)"
command = "top"
engine = []
[workspace.env]
"A B" = "x"
C = 1

[[workspace]]
id = "{A}"
name = "two"
parent = "{A}"
os_user = "ubuntu"

[[workspace]]
id = "{B}"
name = "three"
parent = "2a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9"

[[token]]
name = "ci"
sha256 = "abc"
workspaces = ["3a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9", "x"]

[token2]
"#
    );
    let expected = [
        "line 3: id: not a workspace id: it must be a UUID of 36 characters with hyphens",
        "line 4: name: \"\" must be 1 to 200 characters, none of them a control character",
        "line 5: instance must be a string, not an integer",
        "line 6: unknown key \"os_usr\" in [[workspace]]; it may have:",
        "line 7: region: \"eu west\" must be lower-case letters, digits and hyphens",
        "line 8: endpoint: \"i-1\" is not an EC2 Instance Connect Endpoint id",
        "line 9: address: invalid IP address syntax",
        "line 10: port must be a decimal number, not an integer",
        "line 11: max_duration: \"3601\" is not a tunnel duration",
        "line 12: container: \"$(id)\" is not a container name",
        "line 12: container and command exclude each other",
        "line 14: engine must name a program",
        "line 16: env: \"A B\" is not the name of an environment variable",
        "line 17: env: C must be a string without NUL",
        "line 22: parent: a workspace is not above itself",
        "line 23: os_user needs instance: without one the workspace is a container beside the gateway",
        "line 28: parent: there is no workspace 2a1b2c3d-",
        "line 32: sha256: 64 hexadecimal digits are wanted",
        "line 33: workspaces: there is no workspace",
        "line 33: workspaces: not a workspace id",
        "line 35: unknown key \"token2\"",
    ];
    let problems = problems(&text);
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem:?} is not {expected:?}");
    }
}

#[test]
fn malformed_files_are_problems() {
    assert_eq!(problems("\n[[workspace\nx =").first().map(|p| p.starts_with("line 2: ")), Some(true));
    assert!(problems("workspace = 1")[0].contains("write [[workspace]]"));
    assert!(problems("[token]\nname = \"x\"")[0].contains("write [[token]]"));
    let twice = format!("[[workspace]]\nid = \"{A}\"\nname = \"a\"\ninstance = \"i-1\"\n").repeat(2);
    assert_eq!(problems(&twice), [format!("line 5: the workspace {A} is there twice")]);
    let twice = format!("[[token]]\nname = \"a\"\nsha256 = \"{ABC}\"\nworkspaces = \"*\"\n").repeat(2);
    assert_eq!(problems(&twice), ["line 5: this token is there twice"]);
    let star = format!("[[token]]\nname = \"a\"\nsha256 = \"{ABC}\"\nworkspaces = \"all\"\n");
    assert_eq!(problems(&star), ["line 4: workspaces must be \"*\" or an array of ids"]);
    let dns = format!(
        "[[workspace]]\nid = \"{A}\"\nname = \"a\"\ninstance = \"i-1\"\nendpoint_dns_name = \"x.example\"\n"
    );
    assert_eq!(problems(&dns), ["line 5: endpoint_dns_name needs endpoint as well"]);
    assert!(FileDirectory::parse("").is_ok(), "an empty directory is one");
}

#[test]
fn file_size_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("workspaces.toml");
    assert!(matches!(FileDirectory::load(&path), Err(FileError::Read { .. })));
    std::fs::write(&path, whole()).unwrap();
    assert!(FileDirectory::load(&path).is_ok());
    let len = usize::try_from(FileDirectory::MAX_LEN).unwrap() + 1;
    std::fs::write(&path, "#".repeat(len)).unwrap();
    let Err(FileError::Read { source, .. }) = FileDirectory::load(&path) else { panic!("read") };
    assert_eq!(source.kind(), io::ErrorKind::FileTooLarge);
}
