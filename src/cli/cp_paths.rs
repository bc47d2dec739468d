//! Parses the arguments of `eice cp` into local and remote paths.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::exit;
use super::failure::Failure;
use super::target::Destination;
use crate::files::RemotePath;

/// One source or the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Location {
    Here(PathBuf),
    /// `-`: stdin or stdout.
    Pipe,
    There(Destination, RemotePath),
}

/// The sources and the destination of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Local files to the instance.
    Up(Vec<PathBuf>, RemotePath),
    /// Files of the instance to this machine.
    Down(Vec<RemotePath>, PathBuf),
    /// Stdin to a file of the instance.
    PipeUp(RemotePath),
    /// A file of the instance to stdout.
    PipeDown(RemotePath),
}

/// Parses `words`: sources, then the destination. Exactly one side is remote, on one instance.
pub(crate) fn route(words: &[OsString]) -> Result<(Destination, Route), Failure> {
    let places = words.iter().map(|word| place(word)).collect::<Result<Vec<_>, _>>()?;
    let Some((last, sources @ [_, ..])) = places.split_last() else {
        return Err(usage("a copy has a source and a destination"));
    };
    match last {
        Location::There(destination, target) => {
            let mut here = Vec::with_capacity(sources.len());
            for source in sources {
                match source {
                    Location::Here(path) => here.push(path.clone()),
                    Location::Pipe if sources.len() > 1 => {
                        return Err(usage("stdin (-) is a source of its own"));
                    }
                    Location::Pipe if target.is_folder() => {
                        return Err(usage("stdin (-) has no name: name the file that it becomes"));
                    }
                    Location::Pipe => return Ok((destination.clone(), Route::PipeUp(target.clone()))),
                    Location::There(..) => {
                        return Err(usage("both sides are instances")
                            .with_hint("copy through this machine: eice cp A:FILE - | eice cp - B:FILE"));
                    }
                }
            }
            Ok((destination.clone(), Route::Up(here, target.clone())))
        }
        Location::Here(_) | Location::Pipe => {
            let mut there = Vec::with_capacity(sources.len());
            let mut from: Option<&Destination> = None;
            for source in sources {
                let Location::There(destination, path) = source else {
                    return Err(usage("neither side is an instance: one of them needs [USER@]INSTANCE:PATH"));
                };
                if **from.get_or_insert(destination) != *destination {
                    return Err(usage("the sources are on different instances; copy from one at a time"));
                }
                there.push(path.clone());
            }
            let Some(from) = from else { return Err(usage("a copy has a source and a destination")) };
            let route = match (last, there.as_slice()) {
                (Location::Here(target), _) => Route::Down(there, target.clone()),
                (_, [one]) => Route::PipeDown(one.clone()),
                _ => return Err(usage("only one file goes to stdout (-)")),
            };
            Ok((from.clone(), route))
        }
    }
}

fn usage(message: &str) -> Failure {
    Failure::new(exit::USAGE, message)
}

/// Parses a word like scp: a colon before any slash separates an instance from a path. An IPv6 address is in brackets,
/// and the prefix `name:` belongs to the instance.
fn place(word: &OsStr) -> Result<Location, Failure> {
    if word == "-" {
        return Ok(Location::Pipe);
    }
    let bytes = word.as_bytes();
    if bytes.is_empty() {
        return Err(usage("a path is empty"));
    }
    let Some(colon) = colon(bytes) else { return Ok(Location::Here(PathBuf::from(word))) };
    let text = String::from_utf8_lossy(&bytes[..colon]);
    let hint = "a file of this machine with a colon in its name is written with a slash before it: ./a:b";
    let destination = text.parse::<Destination>().map_err(|error| usage(&error).with_hint(hint))?;
    let path = RemotePath::new(&bytes[colon + 1..])
        .map_err(|error| Failure::because(exit::USAGE, "bad path", &error))?;
    Ok(Location::There(destination, path))
}

/// Returns the position of the colon that ends an instance's name.
fn colon(bytes: &[u8]) -> Option<usize> {
    let at = bytes.iter().position(|&byte| byte == b'@').map_or(0, |at| at + 1);
    let name = &bytes[at..];
    let skipped = match name {
        [b'[', ..] => name.iter().position(|&byte| byte == b']')?,
        _ if name.starts_with(b"name:") => b"name:".len(),
        _ => 0,
    };
    let end = bytes.iter().position(|&byte| byte == b'/').unwrap_or(bytes.len());
    let colon = at + skipped + bytes.get(at + skipped..)?.iter().position(|&byte| byte == b':')?;
    (colon < end && colon > 0).then_some(colon)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(words: &[&str]) -> Result<(Destination, Route), Failure> {
        route(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn remote(text: &str) -> RemotePath {
        RemotePath::new(text).unwrap()
    }

    #[test]
    fn colon_before_slash_is_instance() {
        let there = |word: &str| match place(OsStr::new(word)).unwrap() {
            Location::There(destination, path) => (destination.instance.to_string(), path),
            other => panic!("{word}: {other:?}"),
        };
        assert_eq!(there("i-1:/etc/hosts"), ("i-1".into(), remote("/etc/hosts")));
        assert_eq!(there("ubuntu@web 1:a:b"), ("web 1".into(), remote("a:b")));
        assert_eq!(there("u@[fd00::1]:x"), ("fd00::1".into(), remote("x")));
        assert_eq!(there("name:10.0.0.1:x"), ("10.0.0.1".into(), remote("x")));
        assert_eq!(there("10.0.0.1:"), ("10.0.0.1".into(), remote(".")));
        for here in ["a", "./a:b", "/x:y", "../i-1:x", "a/b@c:d", ":x"] {
            assert_eq!(place(OsStr::new(here)).unwrap(), Location::Here(here.into()), "{here}");
        }
        let odd = OsStr::from_bytes(b"i-1:\xff");
        assert!(matches!(place(odd).unwrap(), Location::There(_, path) if path.as_bytes() == b"\xff"));
        assert!(place(OsStr::new("i-;id:x")).is_err());
        assert!(place(OsStr::new("")).is_err());
    }

    #[test]
    fn exactly_one_side_is_remote() {
        let up = routed(&["a", "b", "i-1:d/"]).unwrap().1;
        assert_eq!(up, Route::Up(vec!["a".into(), "b".into()], remote("d/")));
        let down = routed(&["i-1:a", "i-1:b", "d"]).unwrap().1;
        assert_eq!(down, Route::Down(vec![remote("a"), remote("b")], "d".into()));
        assert_eq!(routed(&["-", "i-1:f"]).unwrap().1, Route::PipeUp(remote("f")));
        assert_eq!(routed(&["i-1:f", "-"]).unwrap().1, Route::PipeDown(remote("f")));
        assert_eq!(routed(&["./-", "i-1:f"]).unwrap().1, Route::Up(vec!["./-".into()], remote("f")));
        for bad in [
            &["a", "b"][..],
            &["i-1:a", "i-2:b"],
            &["i-1:a", "i-2:b", "c"],
            &["i-1:a", "b", "c"],
            &["-", "a", "i-1:c"],
            &["-", "i-1:c/"],
            &["-", "i-1:"],
            &["i-1:a", "i-1:b", "-"],
            &["i-1:a"],
        ] {
            assert_eq!(routed(bad).unwrap_err().code(), exit::USAGE, "{bad:?}");
        }
    }
}
