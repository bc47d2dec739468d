//! What follows a reload, and what needs a restart.

use std::collections::BTreeSet;

/// The tables that follow a reload, each with those of its keys that do not. Every other table needs a restart.
const FOLLOW: &[(&str, &[&str])] = &[
    ("audit", &[]),
    (
        "directory",
        &[
            "database_url",
            "max_connections",
            "note_activity",
            "note_last_used",
            "os_user",
            "region",
            "endpoint",
            "endpoint_dns_name",
            "max_duration",
        ],
    ),
    ("gateway", &["listen"]),
    ("limits", &["max_body_bytes", "max_connections"]),
    ("log", &[]),
    ("metrics", &["listen"]),
    ("platform", &[]),
    ("tls", &["handshake_timeout_secs"]),
];

/// The settings that differ between two files and will not count before a restart, as `table.key`. Values are not
/// told: some are secret.
#[must_use]
pub fn needs_restart(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (parse(before), parse(after));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut changed = Vec::new();
    for name in names {
        let nothing = toml::Table::new();
        let of =
            |file: &toml::Table| file.get(name).and_then(toml::Value::as_table).unwrap_or(&nothing).clone();
        let (old, new) = (of(&before), of(&after));
        if name == "tls" && old.is_empty() != new.is_empty() {
            changed.push(name.clone());
            continue;
        }
        let follow = FOLLOW.iter().find(|(table, _)| table == name);
        let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let fixed = keys.into_iter().filter(|key| {
            old.get(*key) != new.get(*key) && follow.is_none_or(|(_, fixed)| fixed.contains(&key.as_str()))
        });
        changed.extend(fixed.map(|key| format!("{name}.{key}")));
    }
    changed
}

/// The tables of a file that was read before, so that it cannot be wrong.
fn parse(text: &str) -> toml::Table {
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_named_and_what_follows_is_not() {
        let before = "[gateway]\nlisten = '127.0.0.1:1'\nallowed_origins = ['https://a.example']\n\
                      [limits]\nmax_sessions = 5\nmax_connections = 9\n[aws]\nregion = 'eu-west-1'\n\
                      [directory]\ndatabase_url = 'postgres://eice:secret@a/b'\n";
        assert_eq!(needs_restart(before, before), Vec::<String>::new());
        let follows =
            before.replace("a.example", "b.example").replace("max_sessions = 5", "idle_timeout_secs = 9");
        assert_eq!(needs_restart(before, &follows), Vec::<String>::new());
        let fixed = before
            .replace("127.0.0.1:1", "127.0.0.1:2")
            .replace("max_connections = 9", "")
            .replace("[aws]", "[aws]\nuse_fips = true")
            .replace("secret", "other")
            + "[tls]\ncert_file = 'a'\n[docker]\nenabled = false\n";
        let changed = needs_restart(before, &fixed);
        assert_eq!(
            changed,
            [
                "aws.use_fips",
                "directory.database_url",
                "docker.enabled",
                "gateway.listen",
                "limits.max_connections",
                "tls"
            ]
        );
    }
}
