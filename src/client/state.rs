//! Where host keys and other state of a user are kept.

use std::path::PathBuf;

/// Returns the folder of this user's state: `$XDG_STATE_HOME/eice`, else `~/.local/state/eice` (XDG Base Directory
/// Specification). `None` without a home directory.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    folder_in(|name| std::env::var_os(name).map(PathBuf::from))
}

/// Returns the file of this user's pinned host keys, in [`folder`].
#[must_use]
pub fn host_keys_file() -> Option<PathBuf> {
    Some(folder()?.join("host_keys.json"))
}

/// Returns [`folder`] for the environment that `var` reads. A relative `XDG_STATE_HOME` is ignored, as the
/// specification asks.
pub(crate) fn folder_in(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let state = var("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = state.or_else(|| {
        var("HOME").filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(".local/state"))
    })?;
    Some(state.join("eice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_follows_the_xdg_specification() {
        let at = |pairs: &'static [(&str, &str)]| {
            folder_in(move |name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
            })
        };
        assert_eq!(at(&[("HOME", "/home/me")]), Some("/home/me/.local/state/eice".into()));
        assert_eq!(at(&[("XDG_STATE_HOME", "/s"), ("HOME", "/home/me")]), Some("/s/eice".into()));
        assert_eq!(
            at(&[("XDG_STATE_HOME", "relative"), ("HOME", "/home/me")]),
            Some("/home/me/.local/state/eice".into())
        );
        assert_eq!(at(&[("HOME", "")]), None);
    }
}
