//! `[directory]`: the workspaces and who may open them.

use std::path::{Path, PathBuf};

use super::{Overrides, Reader};
use crate::workspace::{FileDirectory, FileError};

/// `[directory]`: a file, or the same text in place.
pub(in crate::config) fn directory(reader: &mut Reader<'_>, overrides: &Overrides) -> Option<FileDirectory> {
    let mut section = reader.section("directory");
    let file: Option<PathBuf> = reader.value(&mut section, "file", Some("EICE_DIRECTORY"));
    let text: Option<String> = reader.value(&mut section, "text", None);
    reader.end(section);
    let (place, read) = match (overrides.directory.clone().or(file), text) {
        (Some(_), Some(_)) => {
            reader.problem("directory", "it must have file or text, not both");
            return None;
        }
        (Some(file), None) => (file.display().to_string(), FileDirectory::load(Path::new(&file))),
        (None, Some(text)) => ("directory.text".to_owned(), FileDirectory::parse(&text)),
        (None, None) => {
            reader.problem("directory.file", "it must name the file of workspaces and tokens");
            return None;
        }
    };
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
