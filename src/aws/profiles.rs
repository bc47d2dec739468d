//! The shared configuration files: profiles, single sign-on sessions and services.
//!
//! They are parsed here because the SDK panics on some values, warns about sections of other tools, and does not
//! find profiles with quoted names.

mod ini;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::environment::EnvSource;
use super::error::AwsError;
pub(super) use ini::Section;

/// The profile used if no other is configured.
pub(super) const DEFAULT: &str = "default";
/// The maximum size of a file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The contents of the files.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    config: BTreeMap<String, Section>,
    credentials: BTreeMap<String, Section>,
    sso_sessions: BTreeMap<String, Section>,
    services: BTreeMap<String, Section>,
    /// Files that exist but cannot be read, with the reason. They count as empty, as in the AWS tools.
    unreadable: Vec<String>,
}

impl Profiles {
    /// Reads `only`, or else the files given by `env` or found in the user's home folder.
    ///
    /// # Errors
    /// [`AwsError::Profile`] when a file is malformed or too large, or `only` cannot be read.
    pub(super) fn read(env: &EnvSource, only: Option<&Path>) -> Result<Self, AwsError> {
        let mut profiles = Self::default();
        if let Some(path) = only {
            let text = read(path).map_err(|error| failed(path, error.to_string()))?;
            profiles.add_config(&text).map_err(|why| failed(path, why))?;
            return Ok(profiles);
        }
        if let Some((path, text)) = profiles.open(env, "AWS_CONFIG_FILE", ".aws/config")? {
            profiles.add_config(&text).map_err(|why| failed(&path, why))?;
        }
        if let Some((path, text)) = profiles.open(env, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")? {
            profiles.add_credentials(&text).map_err(|why| failed(&path, why))?;
        }
        Ok(profiles)
    }

    /// Reads the file at the path in `variable`, or at `usual` below the home folder. Returns its path and text, or
    /// `None` if it does not exist.
    fn open(
        &mut self,
        env: &EnvSource,
        variable: &str,
        usual: &str,
    ) -> Result<Option<(PathBuf, String)>, AwsError> {
        let home = env.home();
        let path = match (env.path(variable), &home) {
            (Some(path), Some(home)) => match path.strip_prefix("~") {
                Ok(below) => home.join(below),
                Err(_) => path,
            },
            (Some(path), None) => path,
            (None, Some(home)) => home.join(usual),
            (None, None) => return Ok(None),
        };
        match read(&path) {
            Ok(text) => Ok(Some((path, text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::FileTooLarge) =>
            {
                Err(failed(&path, error.to_string()))
            }
            Err(error) => {
                self.unreadable.push(format!("{}: {error}", path.display()));
                Ok(None)
            }
        }
    }

    fn add_config(&mut self, text: &str) -> Result<(), String> {
        for (name, section) in ini::parse(text)? {
            // Skip sections of other tools, and those with an unclosed quote.
            let Some(words) = ini::words(&name) else { continue };
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (sections, name) = match words.as_slice() {
                [DEFAULT] => (&mut self.config, DEFAULT),
                ["profile", name] => (&mut self.config, *name),
                ["sso-session", name] => (&mut self.sso_sessions, *name),
                ["services", name] => (&mut self.services, *name),
                _ => continue,
            };
            sections.entry(name.to_owned()).or_default().extend(section);
        }
        Ok(())
    }

    fn add_credentials(&mut self, text: &str) -> Result<(), String> {
        for (name, section) in ini::parse(text)? {
            self.credentials.entry(name).or_default().extend(section);
        }
        Ok(())
    }

    /// Returns the profile `name`. The credentials file takes precedence over the configuration file.
    pub(super) fn profile(&self, name: &str) -> Option<Section> {
        match (self.config.get(name), self.credentials.get(name)) {
            (None, None) => None,
            (config, credentials) => {
                let mut merged = config.cloned().unwrap_or_default();
                merged.extend(credentials.cloned().unwrap_or_default());
                Some(merged)
            }
        }
    }

    /// Returns the profile `name` from the credentials file only.
    pub(super) fn credentials(&self, name: &str) -> Option<&Section> {
        self.credentials.get(name)
    }

    /// Returns the profile `name` from the configuration file only.
    pub(super) fn config(&self, name: &str) -> Option<&Section> {
        self.config.get(name)
    }

    /// Returns the section `[sso-session name]`.
    pub(super) fn sso_session(&self, name: &str) -> Option<&Section> {
        self.sso_sessions.get(name)
    }

    /// Returns the value of `key` for `service` in the section `[services name]`.
    pub(super) fn service(&self, name: &str, service: &str, key: &str) -> Option<&str> {
        let lines = self.services.get(name)?.get(service)?.lines();
        let mut pairs = lines.filter_map(|line| line.split_once('='));
        pairs.find(|(found, _)| found.trim() == key).map(|(_, value)| value.trim())
    }

    /// Returns the error for a profile that does not exist.
    pub(super) fn missing(&self, name: &str) -> AwsError {
        AwsError::NoProfile { name: name.to_owned(), unreadable: self.unreadable.clone() }
    }
}

/// Reads the file at `path`.
fn read(path: &Path) -> io::Result<String> {
    // Reading a pipe or a device might never end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    if std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)? as u64 > MAX_FILE {
        let why = format!("it is larger than {MAX_FILE} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

fn failed(path: &Path, why: impl Into<String>) -> AwsError {
    AwsError::Profile { path: path.to_owned(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(config: &[u8], credentials: &[u8]) -> (tempfile::TempDir, EnvSource) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".aws")).unwrap();
        std::fs::write(dir.path().join(".aws/config"), config).unwrap();
        std::fs::write(dir.path().join(".aws/credentials"), credentials).unwrap();
        let env = EnvSource::of(&[("HOME", dir.path().to_str().unwrap())]);
        (dir, env)
    }

    #[test]
    fn quoted_and_foreign_sections_are_parsed() {
        let config = b"[default]\nregion = a\n[profile \"my prof\"]\nregion = b\n[sso-session 'my sso']\nsso_region = c\n\
            [plugins]\ncli_legacy_plugin_path = /x\n[profile \"open]\nregion = d\n[bare]\nregion = e\n\
            [services s]\nec2 =\n  endpoint_url = http://f\n";
        let (_dir, env) = home(config, b"[my prof]\nregion = over\n[only here]\naws_access_key_id = k\n");
        let profiles = Profiles::read(&env, None).unwrap();
        assert_eq!(profiles.profile("my prof").unwrap()["region"], "over", "the credentials file wins");
        assert_eq!(profiles.config("my prof").unwrap()["region"], "b");
        assert_eq!(profiles.profile("only here").unwrap()["aws_access_key_id"], "k");
        assert_eq!(profiles.sso_session("my sso").unwrap()["sso_region"], "c");
        assert_eq!(profiles.service("s", "ec2", "endpoint_url"), Some("http://f"));
        for absent in ["bare", "plugins", "open", "profile my prof"] {
            assert!(profiles.profile(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn unreadable_file_is_empty_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap();
        std::fs::create_dir_all(dir.path().join(".aws/config")).unwrap();
        let profiles = Profiles::read(&EnvSource::of(&[("HOME", home)]), None).unwrap();
        let error = profiles.missing("x");
        assert!(
            error.hint().unwrap().contains(".aws/config: it is not a regular file"),
            "{:?}",
            error.hint()
        );
        let absent = EnvSource::of(&[("HOME", home), ("AWS_CONFIG_FILE", "~/absent")]);
        assert!(Profiles::read(&absent, None).unwrap().unreadable.is_empty());
        assert!(
            Profiles::read(&absent, Some(&dir.path().join("absent"))).is_err(),
            "an explicit file must exist"
        );
    }

    #[test]
    fn malformed_file_is_an_error() {
        for text in [&b"\xff\xfe"[..], b"x = 1", b"[a]\nb", &vec![b'#'; (MAX_FILE + 1) as usize]] {
            let (_dir, env) = home(text, b"");
            let error = Profiles::read(&env, None).unwrap_err();
            assert!(error.to_string().contains(".aws/config"), "{error}");
        }
    }
}
