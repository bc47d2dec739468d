//! The sources of the configuration: file, environment and flags, read at the start and by each reload.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::config::{Config, Overrides, ProcessEnv};
use crate::gateway::AuditFile;

/// The sources.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The file; without one, only environment and flags count.
    pub(super) file: Option<PathBuf>,
    pub(super) overrides: Overrides,
}

/// A parsed configuration, with everything that it names opened.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The file's text.
    pub(super) text: String,
    pub(super) config: Config,
    pub(super) audit: Option<AuditFile>,
}

impl Source {
    /// Reads the configuration; an error lists all problems.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        let text = match &self.file {
            None => String::new(),
            Some(path) => read(path).map_err(|error| {
                Failure::because(exit::CONFIG, format!("cannot read {}", path.display()), &error)
            })?,
        };
        let config = Config::read(&text, &ProcessEnv, &self.overrides).map_err(|invalid| {
            let place =
                self.file.as_ref().map_or("the configuration".into(), |path| path.display().to_string());
            let count = invalid.problems.len();
            let noun = if count == 1 { "problem" } else { "problems" };
            Failure::new(exit::CONFIG, format!("{place} has {count} {noun}"))
                .with_details(invalid.problems.iter().map(ToString::to_string))
                .with_hint("docs/serve.example.toml explains every setting")
        })?;
        let audit = config.audit.file.as_deref().map(|path| {
            AuditFile::open(path).map_err(|error| {
                Failure::because(exit::CONFIG, format!("cannot write {}", path.display()), &error)
                    .with_hint("audit.file names the file of the audit log")
            })
        });
        Ok(Loaded { text, config, audit: audit.transpose()? })
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(Config::MAX_LEN + 1).read_to_string(&mut text)?;
    if text.len() as u64 > Config::MAX_LEN {
        return Err(io::Error::other(format!("it is larger than {} bytes", Config::MAX_LEN)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(file: impl Into<PathBuf>) -> Source {
        Source { file: Some(file.into()), overrides: Overrides::default() }
    }

    #[test]
    fn invalid_config_is_78_with_all_problems() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[gateway]\ncolour = 1\n[directory]\ntext = '[[token]]'\n").unwrap();
        let failure = source(file.path()).load().unwrap_err();
        assert_eq!(failure.code(), exit::CONFIG);
        let text = failure.render();
        assert!(text.contains("gateway.allowed_origins") && text.contains("gateway.colour"), "{text}");
        assert!(text.contains("directory.text, line"), "{text}");
    }

    #[test]
    fn missing_file_is_78() {
        assert_eq!(source("/nonexistent/serve.toml").load().unwrap_err().code(), exit::CONFIG);
    }

    #[test]
    fn unwritable_audit_file_is_78() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "[gateway]\nallowed_origins = ['https://a.example']\n[directory]\ntext = ''\n\
                    [audit]\nfile = '/nonexistent/audit.log'\n";
        std::fs::write(file.path(), text).unwrap();
        let failure = source(file.path()).load().unwrap_err();
        assert_eq!(failure.code(), exit::CONFIG);
        assert!(failure.render().contains("/nonexistent/audit.log"), "{}", failure.render());
    }
}
