//! `[directory]`: the workspaces and who may open them.

use std::path::{Path, PathBuf};

use super::{Overrides, Section, SettingsReader, set};
use crate::config::Directory;
use crate::model::EndpointChoice;
use crate::workspace::postgres::{Config, DatabaseUrl, InstanceDefaults};
use crate::workspace::{FileDirectory, FileError};

/// The platform's variable, used only if no directory is configured: other programs read it as well.
const PLATFORM_URL: &str = "DATABASE_URL";
/// The largest connection pool.
const MAX_CONNECTIONS: u64 = 1000;
/// The settings that need a database.
pub(in crate::config) const DATABASE_ONLY: [&str; 8] = [
    "max_connections",
    "note_activity",
    "note_last_used",
    "os_user",
    "region",
    "endpoint",
    "endpoint_dns_name",
    "max_duration",
];

/// Reads `[directory]`: a file, the same text inline, or the platform's database.
pub(in crate::config) fn directory(
    reader: &mut SettingsReader<'_>,
    overrides: &Overrides,
) -> Option<Directory> {
    let mut section = reader.section("directory");
    let file: Option<PathBuf> = reader.value(&mut section, "file", Some("EICE_DIRECTORY"));
    let file = overrides.directory.clone().or(file);
    let text: Option<String> = reader.value(&mut section, "text", None);
    let problems = reader.count();
    let mut url: Option<DatabaseUrl> = reader.value(&mut section, "database_url", Some("EICE_DATABASE_URL"));
    if file.is_none() && text.is_none() && url.is_none() && reader.count() == problems {
        url = platform_url(reader);
    }
    let is_wrong = reader.count() > problems;
    let directory = match (file, text, url) {
        (Some(file), None, None) => {
            let read = FileDirectory::load(Path::new(&file));
            checked(reader, &file.display().to_string(), read).map(Directory::File)
        }
        (None, Some(text), None) => {
            checked(reader, "directory.text", FileDirectory::parse(&text)).map(Directory::File)
        }
        (None, None, Some(url)) => Some(database(reader, &mut section, url)),
        (None, None, None) => {
            if !is_wrong {
                let must = "it must name the file of workspaces and tokens, unless database_url or DATABASE_URL names a database";
                reader.problem("directory.file", must);
            }
            None
        }
        _ => {
            reader.problem("directory", "it must have one of file, text and database_url, not more");
            None
        }
    };
    if !matches!(directory, Some(Directory::Database(_))) && !is_wrong {
        for key in DATABASE_ONLY {
            reader.refuse(&mut section, key, "it needs database_url: in a file, each workspace has it");
        }
    }
    reader.end(section);
    directory
}

/// Reads the platform's own variable.
fn platform_url(reader: &mut SettingsReader<'_>) -> Option<DatabaseUrl> {
    let url = reader.env(PLATFORM_URL)?;
    url.parse().map_err(|error| reader.problem(PLATFORM_URL, format!("{error}"))).ok()
}

/// Returns the directory that was read, or reports its problems.
fn checked(
    reader: &mut SettingsReader<'_>,
    place: &str,
    read: Result<FileDirectory, FileError>,
) -> Option<FileDirectory> {
    match read {
        Ok(directory) => Some(directory),
        Err(FileError::Invalid { problems }) => {
            for problem in problems {
                reader.problem(format!("{place}, line {}", problem.line), problem.message);
            }
            None
        }
        Err(FileError::Read { source, .. }) => {
            reader.problem(place, format!("it cannot be read: {source}"));
            None
        }
    }
}

/// Reads the settings of the database at `url`.
fn database(reader: &mut SettingsReader<'_>, section: &mut Section, url: DatabaseUrl) -> Directory {
    let mut config = Config::new(url);
    let max = reader.number(section, "max_connections", 1, MAX_CONNECTIONS);
    set(&mut config.max_connections, max.and_then(|max| u32::try_from(max).ok()));
    set(&mut config.note_activity, reader.flag(section, "note_activity"));
    set(&mut config.note_last_used, reader.flag(section, "note_last_used"));
    config.instance = instance(reader, section);
    Directory::Database(Box::new(config))
}

/// Reads the settings that all instances share.
fn instance(reader: &mut SettingsReader<'_>, section: &mut Section) -> InstanceDefaults {
    let mut instance = InstanceDefaults::default();
    set(&mut instance.os_user, reader.value(section, "os_user", Some("WORKSPACE_EC2_OS_USER")));
    instance.region = reader.value(section, "region", None);
    instance.max_duration = reader.value(section, "max_duration", None);
    let id = reader.value(section, "endpoint", None);
    let dns_name: Option<String> = reader.value(section, "endpoint_dns_name", None);
    instance.endpoint = match (id, dns_name) {
        (Some(id), Some(dns_name)) => EndpointChoice::Known { id, dns_name },
        (Some(id), None) => EndpointChoice::Id(id),
        (None, Some(_)) => {
            reader.problem("directory.endpoint_dns_name", "it needs endpoint as well");
            EndpointChoice::Automatic
        }
        (None, None) => EndpointChoice::Automatic,
    };
    instance
}
