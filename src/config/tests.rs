//! The composed configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::workspace::BearerToken;

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
        // It would be read, and is not there.
        .filter(|line| !line.starts_with("admin_token_file"))
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
    assert_eq!(
        (all.gateway.trusted_proxies, all.gateway.rate_limit, all.gateway.token_rate_limit),
        (defaults.trusted_proxies, defaults.rate_limit, defaults.token_rate_limit)
    );
    assert_eq!(all.gateway.recheck_interval, defaults.recheck_interval);
    assert_eq!(all.gateway.platform.at_hand, defaults.platform.at_hand);
    assert!(all.gateway.platform.org_id.is_some() && all.gateway.platform.control_plane.is_some());
    assert_eq!(all.gateway.session.max_sessions, defaults.session.max_sessions);
    assert_eq!(all.docker, Some(docker::engine::Config::default()), "said so, organisation or not");
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

const GATEWAY: &str = "[gateway]\nallowed_hosts = ['a.example']\n";

/// What `[directory]` with `lines` comes to.
fn directory(lines: &str, pairs: &[(&str, &str)]) -> Result<Config, Invalid> {
    Config::read(&format!("{GATEWAY}[directory]\n{lines}\n"), &env(pairs), &Overrides::default())
}

/// The database that it names.
fn database(config: Result<Config, Invalid>) -> postgres::Config {
    match config.unwrap().directory {
        Directory::Database(database) => *database,
        Directory::File(_) => panic!("a file"),
    }
}

#[test]
fn a_directory_is_one_of_file_text_and_database() {
    let url = "database_url = 'postgres://u:canary@file.example/d'";
    assert_eq!(database(directory(url, &[])).url.place(), "file.example:5432/d");
    let set = [
        ("EICE_DATABASE_URL", "postgres://u@env.example/d"),
        ("DATABASE_URL", "postgres://u@platform.example/d"),
    ];
    assert_eq!(database(directory(url, &set)).url.place(), "env.example:5432/d");
    assert_eq!(database(directory("", &set)).url.place(), "env.example:5432/d");
    assert_eq!(database(directory("", &set[1..])).url.place(), "platform.example:5432/d");
    assert_eq!(database(directory(url, &set[1..])).url.place(), "file.example:5432/d");
    let text = directory("text = ''", &set[1..]).unwrap();
    assert!(matches!(text.directory, Directory::File(_)), "DATABASE_URL is for whoever names nothing else");

    for both in [
        format!("text = ''\n{url}"),
        format!("file = '/nonexistent'\n{url}"),
        "text = ''\nfile = 'x'".to_owned(),
    ] {
        assert_eq!(places(&directory(&both, &[]).unwrap_err()), ["directory"], "{both}");
    }
    assert_eq!(places(&directory("text = ''", &set[..1]).unwrap_err()), ["directory"]);
}

#[test]
fn a_database_has_the_platforms_defaults_and_settings_of_its_own() {
    let plain = directory("database_url = 'postgres://u@h/d'", &[]).unwrap();
    assert_eq!(plain.aws.fallback_region.as_deref(), Some("us-east-2"));
    let plain = database(Ok(plain));
    assert_eq!((plain.max_connections, plain.note_activity, plain.note_last_used), (5, true, true));
    assert_eq!((plain.instance.os_user.as_str(), plain.instance.region), ("ubuntu", None));

    let set = "max_connections = 2\nnote_activity = false\nnote_last_used = false\nos_user = 'admin'\n\
               region = 'eu-west-1'\nendpoint = 'eice-0123456789abcdef0'\nmax_duration = 1800";
    let lines = format!("database_url = 'postgres://u@h/d'\n{set}");
    let own = database(directory(&lines, &[]));
    assert_eq!((own.max_connections, own.note_activity, own.note_last_used), (2, false, false));
    assert_eq!((own.instance.os_user.as_str(), own.instance.region.as_deref()), ("admin", Some("eu-west-1")));
    assert!(own.instance.endpoint.is_named() && own.instance.max_duration.is_some());
    let own = database(directory(&lines, &[("WORKSPACE_EC2_OS_USER", "ec2-user")]));
    assert_eq!(own.instance.os_user.as_str(), "ec2-user");

    let file = directory(&format!("text = ''\n{set}\nendpoint_dns_name = 'x.example'"), &[]).unwrap_err();
    assert_eq!(file.problems.len(), 8, "{file:?}");
    assert!(file.problems.iter().all(|problem| problem.message.contains("needs database_url")), "{file:?}");
    let text = directory("text = ''", &[("WORKSPACE_EC2_OS_USER", "no such name")]).unwrap();
    assert_eq!(text.aws.fallback_region, None);
}

#[test]
fn a_database_url_that_is_wrong_is_told_without_its_password() {
    for (lines, pairs, place) in [
        ("database_url = 'postgres://u:canary#pw@h/d'", &[][..], "directory.database_url"),
        ("", &[("EICE_DATABASE_URL", "canary")], "EICE_DATABASE_URL"),
        ("", &[("DATABASE_URL", "mysql://u:canary@h/d")], "DATABASE_URL"),
        ("database_url = { canary = 'canary' }", &[], "directory.database_url"),
    ] {
        let error = directory(lines, pairs).unwrap_err();
        assert_eq!(places(&error), [place]);
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    let config = directory("database_url = 'postgres://u:canary@h/d'", &[]).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
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

/// The platform's settings, by these variables.
fn platform(pairs: &[(&str, &str)]) -> Result<gateway::Config, Invalid> {
    let text = "[gateway]\nallowed_origins = ['https://a.example']\n[directory]\ntext = ''\n";
    Config::read(text, &env(pairs), &Overrides::default()).map(|config| config.gateway)
}

#[test]
fn the_platforms_own_variables_are_read() {
    let config = platform(&[
        ("ADMIN_TOKEN", "canary-admin"),
        ("MOLECULE_ENV", "Dev"),
        ("MOLECULE_ORG_ID", " org-1 "),
        ("MOLECULE_ORG_SLUG", "acme"),
        ("CP_UPSTREAM_URL", "https://cp.example/"),
        ("CORS_ORIGINS", "https://ignored.example"),
        ("RATE_LIMIT", "1000"),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    let digest = BearerToken::new("canary-admin").unwrap().digest();
    assert!(config.platform.admin_token == Some(digest));
    assert!(!config.platform.is_development(), "there is an administrator's token");
    assert_eq!(config.platform.org_id.as_deref(), Some("org-1"));
    let plane = gateway::ControlPlane::new("https://cp.example", "acme").unwrap();
    assert_eq!(config.platform.control_plane, Some(plane));
    assert_eq!(config.rate_limit, 1000);
    assert_eq!(config.allowed_origins.len(), 1, "what is said of the gateway itself comes first");

    assert!(platform(&[("MOLECULE_ENV", "development")]).unwrap().platform.is_development());
    let nothing = platform(&[]).unwrap().platform;
    assert!(nothing.admin_token.is_none() && nothing.control_plane.is_none() && !nothing.is_development());

    let set = env(&[("CORS_ORIGINS", "https://b.example,https://c.example")]);
    let config = Config::read("[directory]\ntext = ''", &set, &Overrides::default()).unwrap();
    assert_eq!(config.gateway.allowed_origins.len(), 2);
}

#[test]
fn what_is_wrong_with_the_platform_is_told_without_its_secrets() {
    let error = platform(&[
        ("ADMIN_TOKEN", "hunter2 hunter2"),
        ("MOLECULE_ORG_ID", "  "),
        ("CP_UPSTREAM_URL", "https://user:hunter2@cp.example"),
        ("MOLECULE_ORG_SLUG", "acme"),
        ("EICE_AT_HAND", "everybody"),
        ("RATE_LIMIT", "0"),
    ])
    .unwrap_err();
    assert_eq!(
        places(&error),
        ["RATE_LIMIT", "ADMIN_TOKEN", "EICE_AT_HAND", "platform.org_id", "platform.control_plane_url"]
    );
    assert!(!format!("{error:?}").contains("hunter2"));
    let error = platform(&[("CP_UPSTREAM_URL", "https://cp.example")]).unwrap_err();
    assert!(error.problems[0].message.contains("MOLECULE_ORG_SLUG"), "{error:?}");
    let error =
        platform(&[("CP_UPSTREAM_URL", "https://cp.example"), ("MOLECULE_ORG_SLUG", "a b")]).unwrap_err();
    assert_eq!(places(&error), ["platform.org_slug"]);
    assert!(platform(&[("MOLECULE_ORG_SLUG", "acme")]).is_ok(), "a slug alone asks nobody");
}

#[test]
fn the_administrators_token_may_be_in_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let read = |pairs: &[(&str, &str)]| {
        let text = format!(
            "[gateway]\nallowed_origins = ['https://a.example']\n[directory]\ntext = ''\n\
             [platform]\nadmin_token_file = '{}'\n",
            file.path().display()
        );
        let config = Config::read(&text, &env(pairs), &Overrides::default())?;
        Ok::<_, Invalid>(config.gateway.platform.admin_token.unwrap())
    };
    let digest = |text: &str| BearerToken::new(text).unwrap().digest();
    std::fs::write(file.path(), "from-file\r\n").unwrap();
    assert!(read(&[]).unwrap() == digest("from-file"));
    assert!(read(&[("ADMIN_TOKEN", "from-env")]).unwrap() == digest("from-env"));
    for bad in ["", "\n", "two words", "two\nlines", &"x".repeat(10_000)] {
        std::fs::write(file.path(), bad).unwrap();
        assert_eq!(places(&read(&[]).unwrap_err()), [file.path().to_str().unwrap()], "{bad:?}");
    }
    std::fs::remove_file(file.path()).unwrap();
    assert!(read(&[]).unwrap_err().problems[0].message.starts_with("it cannot be read"));
}

#[test]
fn the_limits_are_read_and_bounded() {
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

#[test]
fn local_workspaces_are_off_where_the_platform_has_an_organisation_unless_said_otherwise() {
    let read = |docker: &str, env: &BTreeMap<String, String>| {
        let text =
            format!("[gateway]\nallowed_hosts = ['a.example']\n[directory]\ntext = ''\n[docker]\n{docker}\n");
        Config::read(&text, env, &Overrides::default())
    };
    let nothing = env(&[]);
    let organisation = env(&[("MOLECULE_ORG_ID", "acme"), ("DOCKER_HOST", "ssh://elsewhere")]);
    assert_eq!(read("", &nothing).unwrap().docker, Some(docker::engine::Config::default()));
    assert_eq!(read("", &organisation).unwrap().docker, None, "and nobody minds the address");
    assert_eq!(read("[platform]\norg_id = 'acme'", &nothing).unwrap().docker, None);
    assert_eq!(read("enabled = false", &nothing).unwrap().docker, None);
    assert_eq!(places(&read("enabled = true", &organisation).unwrap_err()), ["DOCKER_HOST"]);

    let said = "host = 'unix:///a'\nrequired_label = 'x=1'\ntimeout_secs = 3";
    let config = read(said, &nothing).unwrap().docker.unwrap();
    assert_eq!((config.address.to_string(), config.timeout), ("unix:///a".into(), Duration::from_secs(3)));
    assert_eq!(config.required_label.to_string(), "x=1");
    let set = env(&[("DOCKER_HOST", "tcp://127.0.0.1:1")]);
    assert_eq!(read(said, &set).unwrap().docker.unwrap().address.to_string(), "tcp://127.0.0.1:1");

    let wrong = "host = 'https://engine:2376'\nrequired_label = ''\ntimeout_secs = 0\nsocket = 1";
    let error = read(wrong, &nothing).unwrap_err();
    assert_eq!(
        places(&error),
        ["docker.host", "docker.required_label", "docker.timeout_secs", "docker.socket"]
    );
    assert!(error.problems[0].message.starts_with("TLS to a Docker engine is not supported"), "{error:?}");
    let tls = env(&[("DOCKER_HOST", "tcp://engine:2376"), ("DOCKER_TLS_VERIFY", "1")]);
    assert_eq!(places(&read("", &tls).unwrap_err()), ["DOCKER_TLS_VERIFY"]);
}

#[test]
fn the_example_names_every_setting_and_shows_the_true_defaults() {
    // What is there and what is asked for, with a directory of each kind.
    let mut table = String::new();
    let mut shown: Vec<String> = Vec::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            table = name.0.to_owned();
        }
        let setting = line.strip_prefix("#:").or_else(|| line.strip_prefix('#')).unwrap_or(line);
        if let Some((key, _)) = setting.split_once(" = ")
            && !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            shown.push(format!("{table}.{key}"));
        }
    }
    let mut asked: Vec<String> = Vec::new();
    for directory in ["text = ''", "database_url = 'postgres://eice@db.example/molecule'"] {
        let text = format!("[gateway]\nallowed_origins = ['https://a.example']\n[directory]\n{directory}\n");
        asked.extend(settings(&text));
    }
    asked.retain(|setting| setting != "directory.text");
    let missing: Vec<_> = asked.iter().filter(|setting| !shown.contains(setting)).collect();
    assert_eq!(missing, Vec::<&String>::new(), "the example does not name them");
    let unknown: Vec<_> = shown.iter().filter(|setting| !asked.contains(setting)).collect();
    assert_eq!(unknown, Vec::<&String>::new(), "nobody asks for them");

    let plain = EXAMPLE.replace("file = \"/etc/eice/directory.toml\"", "text = ''");
    let plain = Config::read(&plain, &env(&[]), &Overrides::default()).unwrap();
    let mut all = Config::read(&uncommented(), &env(&[]), &Overrides::default()).unwrap();
    // There the example has one for want of a default.
    all.gateway.platform = plain.gateway.platform.clone();
    assert_eq!(format!("{:?}", all.gateway), format!("{:?}", plain.gateway));
    assert_eq!(
        (all.audit, all.listen, all.metrics_listen),
        (plain.audit, plain.listen, plain.metrics_listen)
    );
    assert_eq!(all.log.as_deref(), Some("info"));
}

/// Every setting that is asked for when `text` is read.
fn settings(text: &str) -> Vec<String> {
    let nothing = env(&[]);
    let mut reader = Reader::new(text, &nothing);
    let _ = Config::compose(&mut reader, &Overrides::default());
    reader.asked().to_vec()
}

/// The gateway's settings with these `[limits]`.
fn limits(lines: &str) -> Result<gateway::Config, Invalid> {
    let text = format!(
        "[gateway]\nallowed_origins = ['https://a.example']\n[limits]\n{lines}\n[directory]\ntext = ''\n"
    );
    Config::read(&text, &env(&[]), &Overrides::default()).map(|config| config.gateway)
}

#[test]
fn nought_is_never_where_there_may_be_no_limit_and_a_problem_elsewhere() {
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
fn what_goes_together_is_asked_for_together() {
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
    // An http page cannot be this gateway's with TLS, save one on this machine.
    let both = "[tls]\ncert_file = '/nonexistent/c'\nkey_file = '/nonexistent/c'";
    assert_eq!(problem(both), "gateway.allowed_origins tls");
    assert_eq!(problem("[audit]\nrequired = true"), "audit.file");
    assert_eq!(problem("[log]\nfilter = 'eice=loud'"), "log.filter");
    let own = read("[metrics]\nlisten = '127.0.0.1:9464'").unwrap();
    assert!(own.metrics_listen.is_some() && !own.gateway.metrics);
    let off = read("[metrics]\nlisten = '127.0.0.1:9464'\nenabled = false").unwrap();
    assert!(off.metrics_listen.is_none() && !off.gateway.metrics);
}
