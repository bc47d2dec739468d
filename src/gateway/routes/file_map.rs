//! The files in a request's body, bounded while they are parsed: a map of tiny entries takes thirty times the memory
//! of its JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::files::workspace::MAX_FILES;

/// Up to [`MAX_FILES`] files by path; the rest is counted, not kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileMap {
    pub(super) files: BTreeMap<String, String>,
    surplus: usize,
}

impl FileMap {
    /// Returns the number of files in the body.
    pub(super) fn count(&self) -> usize {
        self.files.len() + self.surplus
    }
}

impl<'de> Deserialize<'de> for FileMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Files;

        impl<'de> Visitor<'de> for Files {
            type Value = FileMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of paths to contents")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<FileMap, A::Error> {
                let mut map = FileMap::default();
                while map.files.len() < MAX_FILES
                    && let Some((path, content)) = entries.next_entry()?
                {
                    map.files.insert(path, content);
                }
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    map.surplus += 1;
                }
                Ok(map)
            }
        }

        deserializer.deserialize_map(Files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<FileMap, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn surplus_files_are_only_counted() {
        for (count, kept) in [(0, 0), (1, 1), (MAX_FILES, MAX_FILES), (760_000, MAX_FILES)] {
            let entries: Vec<_> = (0..count).map(|n| format!("\"{n:x}\":\"\"")).collect();
            let map = parse(&format!("{{{}}}", entries.join(","))).unwrap();
            assert_eq!((map.count(), map.files.len()), (count, kept));
        }
    }

    #[test]
    fn last_content_of_a_path_counts() {
        let map = parse(r#"{"a":"1","b":"2","a":"3"}"#).unwrap();
        assert_eq!(map.count(), 2);
        assert_eq!(map.files["a"], "3");
    }

    #[test]
    fn contents_must_be_text() {
        for bad in ["[]", "null", r#"{"a":1}"#, r#"{"a":"1""#, r#"{"a":"1"} "b""#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
