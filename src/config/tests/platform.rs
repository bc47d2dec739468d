//! The platform's own variables and its administrator's token.

use super::*;
use crate::workspace::BearerToken;

/// Reads the platform's settings from these variables.
fn platform(pairs: &[(&str, &str)]) -> Result<gateway::Config, Invalid> {
    let text = "[gateway]\nallowed_origins = ['https://a.example']\n[directory]\ntext = ''\n";
    Config::read(text, &env(pairs), &Overrides::default()).map(|config| config.gateway)
}

#[test]
fn platform_variables_are_read() {
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
    assert!(!config.platform.is_development(), "an administrator's token is configured");
    assert_eq!(config.platform.org_id.as_deref(), Some("org-1"));
    let plane = gateway::ControlPlane::new("https://cp.example", "acme").unwrap();
    assert_eq!(config.platform.control_plane, Some(plane));
    assert_eq!(config.rate_limit, 1000);
    assert_eq!(config.allowed_origins.len(), 1, "the gateway's own setting comes first");

    assert!(platform(&[("MOLECULE_ENV", "development")]).unwrap().platform.is_development());
    let nothing = platform(&[]).unwrap().platform;
    assert!(nothing.admin_token.is_none() && nothing.control_plane.is_none() && !nothing.is_development());

    let set = env(&[("CORS_ORIGINS", "https://b.example,https://c.example")]);
    let config = Config::read("[directory]\ntext = ''", &set, &Overrides::default()).unwrap();
    assert_eq!(config.gateway.allowed_origins.len(), 2);
}

#[test]
fn platform_problems_hide_secrets() {
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
    assert!(platform(&[("MOLECULE_ORG_SLUG", "acme")]).is_ok(), "a slug alone is unused");
}

#[test]
fn admin_token_may_be_in_a_file() {
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
fn local_workspaces_depend_on_the_platform() {
    let read = |docker: &str, env: &BTreeMap<String, String>| {
        let text = format!(
            "[gateway]\nallowed_hosts = ['a.example']\n[directory]\ndatabase_url = 'postgres://u@h/d'\n[docker]\n{docker}\n"
        );
        let config = Config::read(&text, env, &Overrides::default()).unwrap();
        (config.docker.is_some(), config.docker_needs_august)
    };
    let organization = env(&[("MOLECULE_ORG_ID", "acme")]);
    assert_eq!(read("", &organization), (true, true), "the schema decides");
    assert_eq!(read("enabled = true", &organization), (true, false));
    assert!(!read("enabled = false", &organization).0);
    assert_eq!(read("", &env(&[])), (true, false));
}

#[test]
fn organization_disables_local_workspaces() {
    let read = |docker: &str, env: &BTreeMap<String, String>| {
        let text =
            format!("[gateway]\nallowed_hosts = ['a.example']\n[directory]\ntext = ''\n[docker]\n{docker}\n");
        Config::read(&text, env, &Overrides::default())
    };
    let nothing = env(&[]);
    let organization = env(&[("MOLECULE_ORG_ID", "acme"), ("DOCKER_HOST", "ssh://elsewhere")]);
    assert_eq!(read("", &nothing).unwrap().docker, Some(docker::engine::EngineConfig::default()));
    assert_eq!(read("", &organization).unwrap().docker, None, "the address is ignored");
    assert_eq!(read("[platform]\norg_id = 'acme'", &nothing).unwrap().docker, None);
    assert_eq!(read("enabled = false", &nothing).unwrap().docker, None);
    assert_eq!(places(&read("enabled = true", &organization).unwrap_err()), ["DOCKER_HOST"]);

    let settings = "host = 'unix:///a'\nrequired_label = 'x=1'\ntimeout_secs = 3";
    let config = read(settings, &nothing).unwrap().docker.unwrap();
    assert_eq!((config.address.to_string(), config.timeout), ("unix:///a".into(), Duration::from_secs(3)));
    assert_eq!(config.required_label.to_string(), "x=1");
    let set = env(&[("DOCKER_HOST", "tcp://127.0.0.1:1")]);
    assert_eq!(read(settings, &set).unwrap().docker.unwrap().address.to_string(), "tcp://127.0.0.1:1");

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
