//! The example file has every setting.

use super::*;

const EXAMPLE: &str = include_str!("../../../docs/serve.example.toml");

/// Returns the example with its commented settings enabled.
fn uncommented() -> String {
    EXAMPLE
        .lines()
        .map(|line| line.strip_prefix("#:").unwrap_or(line))
        // The file does not exist.
        .filter(|line| !line.starts_with("admin_token_file"))
        .collect::<Vec<_>>()
        .join("\n")
        .replace("file = \"/etc/eice/directory.toml\"", "text = ''")
}

#[test]
fn example_is_valid_with_every_setting() {
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
    assert_eq!(
        all.docker,
        Some(docker::engine::EngineConfig::default()),
        "explicit, with or without an organization"
    );
    assert_eq!(all.tunnel.timeouts, tunnel::Config::default().timeouts);
    assert_eq!(all.tunnel.keepalive, Some(Duration::from_secs(25)));
}

#[test]
fn example_has_every_setting_and_default() {
    // The settings in the example and those that are read, with a directory of each kind.
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
    assert_eq!(missing, Vec::<&String>::new(), "missing in the example");
    let unknown: Vec<_> = shown.iter().filter(|setting| !asked.contains(setting)).collect();
    assert_eq!(unknown, Vec::<&String>::new(), "unknown settings in the example");

    let plain = EXAMPLE.replace("file = \"/etc/eice/directory.toml\"", "text = ''");
    let plain = Config::read(&plain, &env(&[]), &Overrides::default()).unwrap();
    let mut all = Config::read(&uncommented(), &env(&[]), &Overrides::default()).unwrap();
    // These have no default; the example shows a value.
    all.gateway.platform = plain.gateway.platform.clone();
    assert_eq!(format!("{:?}", all.gateway), format!("{:?}", plain.gateway));
    assert_eq!(
        (all.audit, all.listen, all.metrics_listen),
        (plain.audit, plain.listen, plain.metrics_listen)
    );
    assert_eq!(all.log.as_deref(), Some("info"));
}

/// Returns every setting that is read from `text`.
fn settings(text: &str) -> Vec<String> {
    let nothing = env(&[]);
    let mut reader = SettingsReader::new(text, &nothing);
    let _ = Config::compose(&mut reader, &Overrides::default());
    reader.asked().to_vec()
}
