//! Settings that a reload applies, and those that need a restart.

use std::collections::BTreeSet;

use super::sections::DATABASE_ONLY;

/// Returns whether a setting needs a restart. A setting that no arm names does.
fn is_fixed(table: &str, key: &str) -> bool {
    match table {
        "audit" | "log" | "platform" => false,
        "directory" => key == "database_url" || DATABASE_ONLY.contains(&key),
        "gateway" | "metrics" => key == "listen",
        "limits" => matches!(key, "max_body_bytes" | "max_connections"),
        "tls" => key == "handshake_timeout_secs",
        _ => true,
    }
}

/// Returns the settings that differ between two files and need a restart, as `table.key`. Values are omitted: some are
/// secret.
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
        let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let fixed = keys.into_iter().filter(|key| old.get(*key) != new.get(*key) && is_fixed(name, key));
        changed.extend(fixed.map(|key| format!("{name}.{key}")));
    }
    changed
}

/// Parses a file that was read before, so that it is valid.
fn parse(text: &str) -> toml::Table {
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_need_a_restart_are_named() {
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
