//! `[directory]`: a file, a text or a database.

use super::*;

const GATEWAY: &str = "[gateway]\nallowed_hosts = ['a.example']\n";

/// Reads `[directory]` with `lines`.
fn directory(lines: &str, pairs: &[(&str, &str)]) -> Result<Config, Invalid> {
    Config::read(&format!("{GATEWAY}[directory]\n{lines}\n"), &env(pairs), &Overrides::default())
}

/// Returns the database that it names.
fn database(config: Result<Config, Invalid>) -> postgres::Config {
    match config.unwrap().directory {
        Directory::Database(database) => *database,
        Directory::File(_) => panic!("a file"),
    }
}

#[test]
fn directory_has_exactly_one_source() {
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
    assert!(matches!(text.directory, Directory::File(_)), "DATABASE_URL is the last resort");

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
fn database_has_platform_defaults() {
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
fn invalid_database_url_hides_its_password() {
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
