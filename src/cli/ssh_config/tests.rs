//! Checks the printed configuration with `ssh -G`, which prints how ssh reads it.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use clap::Parser;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: SshConfigArgs,
}

fn printed(args: &[&str]) -> String {
    let words = ["eice", "--agent-folder=/run/user/7/eice", "--program=/usr/bin/eice"];
    let line = Line::try_parse_from(words.iter().chain(args)).unwrap();
    line.args.block().unwrap().render().unwrap()
}

/// Returns ssh's options for `host` with `config`; of a repeated option, the last value.
fn read_by_ssh(config: &str, host: &str) -> BTreeMap<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), config).unwrap();
    let output = Command::new("ssh").arg("-F").arg(file.path()).args(["-G", "--", host]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{config}", String::from_utf8_lossy(&output.stderr));
    text.lines().filter_map(|line| line.split_once(' ')).map(|(k, v)| (k.into(), v.into())).collect()
}

#[test]
fn default_block_matches_instance_ids() {
    let text = printed(&[]);
    let read = read_by_ssh(&text, "i-0123456789abcdef0");
    let said = |name: &str| read.get(name).map(String::as_str);
    assert_eq!(said("user"), Some("ec2-user"));
    let command = "/usr/bin/eice tunnel --port=%p --os-user='%r' --agent=/run/user/7/eice/'%n-%p-%r' -- '%n'";
    assert_eq!(said("proxycommand"), Some(command));
    assert_eq!(said("identityagent"), Some("/run/user/7/eice/i-0123456789abcdef0-22-ec2-user"));
    assert_eq!(said("identitiesonly"), Some("no"));
    assert_eq!(said("identityfile"), Some("none"));
    assert_eq!(said("knownhostscommand"), Some("/usr/bin/eice host-keys export %H"));
    assert_eq!(said("stricthostkeychecking"), Some("accept-new"));
    assert_eq!(said("serveraliveinterval"), Some("15"));
    assert_eq!(read_by_ssh(&text, "example.com").get("proxycommand"), None);
}

#[test]
fn later_host_star_does_not_override() {
    let text =
        printed(&["--user", "ubuntu"]) + "\nHost *\n IdentitiesOnly yes\n User me\n ProxyCommand none\n";
    let read = read_by_ssh(&text, "i-1");
    assert_eq!((read["user"].as_str(), read["identitiesonly"].as_str()), ("ubuntu", "no"));
    assert!(read["proxycommand"].contains("eice tunnel"));
    assert_eq!(read_by_ssh(&text, "example.com")["user"], "me");
}

#[test]
fn hosts_may_mean_one_instance() {
    let text = printed(&["--host", "web-*", "--host", "db"]);
    for host in ["web-1", "db"] {
        assert!(read_by_ssh(&text, host)["proxycommand"].ends_with("-- '%n'"));
    }
    assert_eq!(read_by_ssh(&text, "i-1").get("proxycommand"), None);
    let read = read_by_ssh(&printed(&["--host", "db", "--port", "3389", "i-0123"]), "db");
    assert!(read["proxycommand"].ends_with("-- i-0123"), "{read:?}");
    assert_eq!((read["port"].as_str(), read["hostkeyalias"].as_str()), ("3389", "i-0123"));
    let read = read_by_ssh(&printed(&["--host", "db", "name:i-am a tag"]), "db");
    assert!(read["proxycommand"].ends_with(r"-- name:i-am\ a\ tag"), "{read:?}");
    assert!(read_by_ssh(&printed(&["i-0123"]), "i-0123").contains_key("proxycommand"));
}

#[test]
fn quoted_name_reaches_no_shell() {
    let text = printed(&[]);
    // OpenSSH refuses such names itself since 9.6, and where its makers ported that back.
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &text).unwrap();
    for host in ["i-'$(id)'", "i-1'x", "i-'"] {
        let output =
            Command::new("ssh").arg("-F").arg(file.path()).args(["-G", "--", host]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("proxycommand"), "{said}");
    }
}

#[test]
fn own_key_is_the_only_identity() {
    let folder = tempfile::tempdir().unwrap();
    let (private, public) = (folder.path().join("id"), folder.path().join("id.pub"));
    fs::write(&public, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti\n")
        .unwrap();
    let argument = public.to_str().unwrap();
    let read = |line: &[&str]| {
        let words = ["eice", "--program=/usr/bin/eice", "--push-key", argument];
        let line = Line::try_parse_from(words.iter().chain(line)).unwrap();
        read_by_ssh(&line.args.block().unwrap().render().unwrap(), "i-1")
    };
    // With the private half on a token or in an agent, ssh gets the public half.
    assert_eq!(read(&[])["identityfile"], argument);
    fs::write(&private, "").unwrap();
    let said = read(&[]);
    assert_eq!(said["identityfile"], private.to_str().unwrap());
    assert_eq!(said["identitiesonly"], "yes");
    assert!(said["proxycommand"].contains(&format!("--push-key={argument} ")), "{said:?}");
    assert_eq!(said.get("identityagent"), None);
    fs::write(&public, "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
    let line = Line::try_parse_from(["eice", "--push-key", argument]).unwrap();
    assert_eq!(line.args.block().unwrap_err().code(), exit::USAGE);
}

#[test]
fn target_options_round_trip() {
    #[derive(Debug, Parser)]
    struct Target {
        #[command(flatten)]
        to: TargetArgs,
    }
    let words = [
        "eice",
        "--region=eu-west-1",
        "--profile=my profile",
        "--role-arn=arn:aws:iam::123456789012:role/a",
        "--external-id=a'b\"c",
        "--endpoint-url=http://127.0.0.1:1/x?y=%20",
        "--ca-bundle=/etc/a b.pem",
        "--endpoint-id=eice-0123456789abcdef0",
        "--endpoint-dns-name=a.example:444",
        "--private-ip-address=10.0.0.1",
        "--address-family=ipv4",
        "--max-tunnel-duration=900",
        "--directory=/etc/workspaces.toml",
        "--workspace-tag=Workspace",
    ];
    let given = Target::try_parse_from(words).unwrap();
    let passed = given.to.to_arguments(absolute).unwrap();
    assert_eq!(passed, words[1..]);
    let again = Target::try_parse_from(std::iter::once("eice".to_owned()).chain(passed)).unwrap();
    assert_eq!(format!("{again:?}"), format!("{given:?}"));
    let nothing = Target::try_parse_from(["eice"]).unwrap();
    assert_eq!(nothing.to.to_arguments(absolute).unwrap(), [""; 0]);
}

#[test]
fn invalid_host_is_refused() {
    for bad in ["", "a b", "a'b", "a\"", "-x", "a\\", "a,b", "#a", "a\n"] {
        assert!(pattern(bad).is_err(), "{bad:?}");
    }
    for line in [vec!["--private-ip-address=10.0.0.1"], vec!["web server"]] {
        let words = [vec!["eice", "--agent-folder=/a"], line].concat();
        let failure = Line::try_parse_from(words).unwrap().args.block().unwrap_err();
        assert_eq!(failure.code(), exit::USAGE);
    }
}

#[test]
fn agent_folder_follows_xdg() {
    let at = |pairs: &'static [(&str, &str)]| {
        agent_folder(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    };
    assert_eq!(at(&[("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", "/h")]), Some("/run/user/7/eice".into()));
    assert_eq!(at(&[("HOME", "/h")]), Some("/h/.local/state/eice/ssh".into()));
    assert_eq!(at(&[("XDG_RUNTIME_DIR", "x"), ("XDG_STATE_HOME", "/s")]), Some("/s/eice/ssh".into()));
    assert_eq!(at(&[]), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// With any characters in paths and profile names, ssh parses the block, and its shell gets the original words.
    #[test]
    fn values_survive_ssh_and_shell(
        folder in "[ -~é]{1,12}", program in "[ -~é]{1,12}", profile in "[ -~é]{1,16}",
    ) {
        prop_assume!(!folder.contains("${") && !folder.contains('/') && !program.contains('/'));
        prop_assume!(![".", ".."].contains(&folder.as_str()) && ![".", ".."].contains(&program.as_str()));
        let words = [
            "eice".to_owned(),
            format!("--agent-folder=/run/{folder}"),
            format!("--program=/opt/{program}"),
            format!("--profile={profile}"),
        ];
        let line = Line::try_parse_from(&words).unwrap();
        let read = read_by_ssh(&line.args.block().unwrap().render().unwrap(), "i-1");
        // What ssh does with a ProxyCommand: token expansion, then a shell.
        let command = read["proxycommand"]
            .replace("%%", "\u{1}").replace("%n", "i-1").replace("%p", "22").replace("%r", "me")
            .replace('\u{1}', "%");
        let output = Command::new("/bin/sh").args(["-c", &format!("printf '%s\\n' {command}")]).output().unwrap();
        let expected = format!(
            "/opt/{program}\ntunnel\n--profile={profile}\n--port=22\n--os-user=me\n--agent=/run/{folder}/i-1-22-me\n--\ni-1\n"
        );
        prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{}", command);
        // Here ssh has expanded the tokens itself.
        prop_assert_eq!(&read["identityagent"], &format!("/run/{folder}/i-1-22-ec2-user"));
    }
}
