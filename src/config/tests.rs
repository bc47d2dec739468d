//! The composed configuration.

mod directory;
mod example;
mod platform;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn places(error: &Invalid) -> Vec<&str> {
    error.problems.iter().map(|problem| problem.place.as_str()).collect()
}

#[test]
fn command_line_wins_over_env_and_file() {
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
fn all_problems_are_reported_with_places() {
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
    assert!(!format!("{error:?}").contains("hunter2"), "the password is hidden");
}

#[test]
fn required_settings_are_reported() {
    let error = Config::read("", &env(&[]), &Overrides::default()).unwrap_err();
    assert_eq!(places(&error), ["gateway.allowed_origins", "directory.file"]);
    let text = "[gateway]\nallowed_hosts = ['a.example']\n[ssh]\nhost_key = 'strict'\n[directory]\ntext = '[[token]]'\n";
    let error = Config::read(text, &env(&[]), &Overrides::default()).unwrap_err();
    assert_eq!(error.problems[0].place, "ssh.host_keys");
    assert!(error.problems[1].place.starts_with("directory.text, line"), "{error:?}");
}

#[test]
fn only_strict_host_keys_need_a_file() {
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

#[test]
fn limits_are_read_and_bounded() {
    let text = |more: &str| {
        format!("[gateway]\nallowed_origins = ['https://a.example']\n{more}\n[directory]\ntext = ''\n")
    };
    let read = |more: &str| Config::read(&text(more), &env(&[]), &Overrides::default());
    let config =
        read("trusted_proxies = 2\nrate_limit = 7\ntoken_rate_limit = 8\nrecheck_secs = 25").unwrap();
    let gateway = config.gateway;
    assert_eq!((gateway.trusted_proxies, gateway.rate_limit, gateway.token_rate_limit), (2, 7, 8));
    assert_eq!(gateway.recheck_interval, Duration::from_secs(25));
    let error =
        read("trusted_proxies = 17\nrate_limit = 0\ntoken_rate_limit = -1\nrecheck_secs = 31").unwrap_err();
    let expected = ["trusted_proxies", "rate_limit", "token_rate_limit", "recheck_secs"];
    assert_eq!(places(&error), expected.map(|key| format!("gateway.{key}")));
}

/// Reads the gateway's settings with these `[limits]`.
fn limits(lines: &str) -> Result<gateway::Config, Invalid> {
    let text = format!(
        "[gateway]\nallowed_origins = ['https://a.example']\n[limits]\n{lines}\n[directory]\ntext = ''\n"
    );
    Config::read(&text, &env(&[]), &Overrides::default()).map(|config| config.gateway)
}

#[test]
fn zero_disables_optional_limits_only() {
    let never = limits("idle_timeout_secs = 0\nidle_warning_secs = 0\nmax_duration_secs = 0").unwrap();
    assert_eq!((never.session.idle_timeout, never.session.max_duration), (None, None));
    assert!(never.session.idle_warning.is_zero());
    let some =
        limits("idle_timeout_secs = 1800\nmax_duration_secs = 28800\nmax_sessions_per_user = 3").unwrap();
    assert_eq!(some.session.idle_timeout, Some(Duration::from_secs(1800)));
    assert_eq!(some.session.max_duration, Some(Duration::from_secs(28800)));
    assert_eq!(some.session.max_per_user, 3);
    let wrong =
        limits("max_sessions = 0\nattach_timeout_secs = 0\nmax_control_per_sec = 0\nmax_message_bytes = -1");
    assert_eq!(
        places(&wrong.unwrap_err()),
        [
            "limits.max_sessions",
            "limits.max_message_bytes",
            "limits.max_control_per_sec",
            "limits.attach_timeout_secs"
        ]
    );
}

#[test]
fn dependent_settings_are_required() {
    let read = |more: &str| {
        let text = format!(
            "[gateway]\nallowed_origins = ['http://a.example', 'http://localhost:3000']\n\
                            [directory]\ntext = ''\n{more}"
        );
        Config::read(&text, &env(&[]), &Overrides::default())
    };
    let problem = |more: &str| places(&read(more).unwrap_err()).join(" ");
    assert_eq!(problem("[tls]\ncert_file = '/nonexistent/c'"), "tls.key_file");
    assert_eq!(problem("[tls]\nkey_file = '/nonexistent/c'"), "tls.cert_file");
    // With TLS, only a page on this machine may be http.
    let both = "[tls]\ncert_file = '/nonexistent/c'\nkey_file = '/nonexistent/c'";
    assert_eq!(problem(both), "gateway.allowed_origins tls");
    assert_eq!(problem("[audit]\nrequired = true"), "audit.file");
    assert_eq!(problem("[log]\nfilter = 'eice=loud'"), "log.filter");
    let own = read("[metrics]\nlisten = '127.0.0.1:9464'").unwrap();
    assert!(own.metrics_listen.is_some() && !own.gateway.metrics);
    let off = read("[metrics]\nlisten = '127.0.0.1:9464'\nenabled = false").unwrap();
    assert!(off.metrics_listen.is_none() && !off.gateway.metrics);
}
