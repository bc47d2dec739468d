//! The composed configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

const EXAMPLE: &str = include_str!("../../docs/serve.example.toml");

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn places(error: &Invalid) -> Vec<&str> {
    error.problems.iter().map(|problem| problem.place.as_str()).collect()
}

/// The example with its commented settings switched on.
fn uncommented() -> String {
    EXAMPLE
        .lines()
        .map(|line| line.strip_prefix("#:").unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
        .replace("file = \"/etc/eice/directory.toml\"", "text = ''")
}

#[test]
fn the_example_is_read_as_it_stands_and_with_every_setting_switched_on() {
    let nothing = env(&[]);
    let plain = EXAMPLE.replace("file = \"/etc/eice/directory.toml\"", "text = ''");
    assert_ne!(plain, EXAMPLE);
    let config = Config::read(&plain, &nothing, &Overrides::default()).unwrap();
    assert_eq!(config.gateway.allowed_origins.len(), 1);
    let all = Config::read(&uncommented(), &nothing, &Overrides::default()).unwrap();
    let defaults = gateway::Config::new(Vec::new());
    assert_eq!(all.gateway.ping_interval, defaults.ping_interval, "the example shows the defaults");
    assert_eq!(all.gateway.max_message, defaults.max_message);
    assert_eq!(all.gateway.cookie_ttl, defaults.cookie_ttl);
    assert_eq!(all.gateway.session.max_sessions, defaults.session.max_sessions);
    assert_eq!(all.tunnel.timeouts, tunnel::Config::default().timeouts);
    assert_eq!(all.tunnel.keepalive, Some(Duration::from_secs(25)));
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
    let text = "[gateway]\nlisten = '127.0.0.1:1'\nallowed_origins = ['https://a.example']\n\
                [directory]\ntext = ''\n";
    let nothing = env(&[]);
    let listen = |env: &dyn Lookup, overrides: &Overrides| Config::read(text, env, overrides).unwrap().listen;
    assert_eq!(listen(&nothing, &Overrides::default()).port(), 1);
    let set = env(&[
        ("EICE_LISTEN", "127.0.0.1:2"),
        ("EICE_ALLOWED_ORIGINS", "https://b.example, https://c.example"),
    ]);
    assert_eq!(listen(&set, &Overrides::default()).port(), 2);
    let overrides = Overrides::new(Some("127.0.0.1:3".parse().unwrap()), None);
    assert_eq!(listen(&set, &overrides).port(), 3);
    let config = Config::read(text, &set, &overrides).unwrap();
    let origins: Vec<_> = config.gateway.allowed_origins.iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["https://b.example", "https://c.example"]);
}

#[test]
fn every_problem_is_told_at_once_and_names_its_place() {
    let text = "
        [gateway]
        listen = 'nowhere'
        allowed_origins = ['https://a.example/path']
        ping_interval_secs = 0
        colour = 'green'
        [aws]
        use_fips = 'yes'
        [tunnel]
        tcp_timeout_secs = 'soon'
        [ssh]
        host_key = 'maybe'
        [directory]
        file = '/nonexistent/directory.toml'
        [workspaces]
    ";
    let set = env(&[("HTTPS_PROXY", "ftp://user:hunter2@proxy")]);
    let error = Config::read(text, &set, &Overrides::default()).unwrap_err();
    assert_eq!(
        places(&error),
        [
            "gateway.listen",
            "gateway.allowed_origins",
            "gateway.ping_interval_secs",
            "gateway.colour",
            "aws.use_fips",
            "HTTPS_PROXY",
            "tunnel.tcp_timeout_secs",
            "ssh.host_key",
            "/nonexistent/directory.toml",
            "workspaces",
        ]
    );
    assert!(!format!("{error:?}").contains("hunter2"), "a password is not told");
}

#[test]
fn what_must_be_said_is_asked_for() {
    let error = Config::read("", &env(&[]), &Overrides::default()).unwrap_err();
    assert_eq!(places(&error), ["gateway.allowed_origins", "directory.file"]);
    let text = "[gateway]\nallowed_hosts = ['a.example']\n[ssh]\nhost_key = 'strict'\n[directory]\ntext = '[[token]]'\n";
    let error = Config::read(text, &env(&[]), &Overrides::default()).unwrap_err();
    assert_eq!(error.problems[0].place, "ssh.host_keys");
    assert!(error.problems[1].place.starts_with("directory.text, line"), "{error:?}");
}

#[test]
fn each_host_key_policy_has_its_name_and_only_strict_needs_a_file() {
    let policy = |name: &str| {
        let text = format!(
            "[gateway]\nallowed_hosts = ['a.example']\n[ssh]\nhost_key = '{name}'\n[directory]\ntext = ''\n"
        );
        Config::read(&text, &env(&[]), &Overrides::default()).map(|config| config.host_keys.policy)
    };
    assert_eq!(policy("tofu").unwrap(), HostKeyPolicy::TrustOnFirstUse);
    assert_eq!(policy("console").unwrap(), HostKeyPolicy::Witnessed);
    assert_eq!(places(&policy("strict").unwrap_err()), ["ssh.host_keys"]);
    assert_eq!(places(&policy("any").unwrap_err()), ["ssh.host_key"]);
}
