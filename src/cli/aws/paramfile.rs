//! Values given as `file://PATH` (`awscli/paramfile.py`).

use std::io::Read;
use std::path::PathBuf;

use super::error::ShimError;
use super::python::repr;

/// The maximum size of a file, in bytes; a public key takes at most 16 KiB.
const MAX_LEN: u64 = 64 << 10;

/// Returns `value`, or the content of the file it names. `name` is the option's, for errors.
///
/// # Errors
/// The file cannot be read, is not text or is too large.
pub(super) fn load(name: &str, value: &str) -> Result<String, ShimError> {
    let Some(path) = value.strip_prefix("file://").or_else(|| value.strip_prefix("fileb://")) else {
        return Ok(value.to_owned());
    };
    let expanded = expand(path, |name| std::env::var(name).ok());
    let unable = |why: &str| ShimError::parameter(name, &format!("Unable to load paramfile {value}: {why}"));
    let mut bytes = Vec::new();
    std::fs::File::open(PathBuf::from(&expanded))
        .and_then(|file| file.take(MAX_LEN + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            let text = error.to_string();
            match error.raw_os_error() {
                Some(code) => {
                    let text = text.split(" (os error").next().unwrap_or_default();
                    unable(&format!("[Errno {code}] {text}: {}", repr(&expanded)))
                }
                None => unable(&text),
            }
        })?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(unable(&format!("it is larger than {MAX_LEN} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| {
        ShimError::parameter(
            name,
            &format!("Unable to load paramfile ({expanded}), text contents could not be decoded."),
        )
    })
}

/// Expands a leading `~`, `$NAME` and `${NAME}`; unset names are left unchanged.
pub(super) fn expand(path: &str, var: impl Fn(&str) -> Option<String>) -> String {
    let home = || var("HOME").unwrap_or_default();
    let path = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", home()),
        _ => path.to_owned(),
    };
    let (mut out, mut rest) = (String::new(), path.as_str());
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, len) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let len =
                    after.find(|c: char| !(c == '_' || c.is_ascii_alphanumeric())).unwrap_or(after.len());
                (after.get(..len).unwrap_or_default(), len)
            }
        };
        match var(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => {
                out.push('$');
                out.push_str(after.get(..len).unwrap_or_default());
            }
        }
        rest = after.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_value_is_loaded() {
        assert_eq!(load("--x", "i-1").unwrap(), "i-1");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "line\n").unwrap();
        assert_eq!(load("--x", &format!("file://{}", path.display())).unwrap(), "line\n");
        std::fs::write(&path, b"\xff").unwrap();
        let error = load("--x", &format!("file://{}", path.display())).unwrap_err();
        assert!(error.message().contains("could not be decoded"));
        std::fs::write(&path, vec![b'a'; 65_537]).unwrap();
        assert!(load("--x", &format!("file://{}", path.display())).unwrap_err().message().contains("larger"));
        let error = load("--x", "file://nope").unwrap_err();
        let expected = "An error occurred (ParamValidation): Error parsing parameter '--x': Unable to load paramfile \
                    file://nope: [Errno 2] No such file or directory: 'nope'";
        assert_eq!(error.message(), expected);
    }

    #[test]
    fn home_and_variables_are_expanded() {
        let var = |name: &str| match name {
            "HOME" => Some("/home/me".to_owned()),
            "A" => Some("x".to_owned()),
            _ => None,
        };
        for (path, expanded) in [
            ("~/k", "/home/me/k"),
            ("~", "/home/me"),
            ("~other/k", "~other/k"),
            ("$A/${A}$B${B}$", "x/x$B${B}$"),
            ("${A", "${A"),
        ] {
            assert_eq!(expand(path, var), expanded, "{path}");
        }
    }
}
