//! Imports go down only: reads every path in `src` and fails on one that names a module which its own may not.
//!
//! A path counts wherever it stands: in a `use`, grouped or not, inline in code, in a macro, through `super`, by the
//! crate's own name. What names the crate's root as a whole is refused, since anything could follow.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

#[path = "layering/lexer.rs"]
mod lexer;
#[path = "layering/paths.rs"]
mod paths;

use std::fs;
use std::path::{Path, PathBuf};

use paths::{Named, paths};

/// A module, its layer, and the modules that it may name.
struct Module {
    name: &'static str,
    layer: u8,
    may_use: &'static [&'static str],
}

const fn module(name: &'static str, layer: u8, may_use: &'static [&'static str]) -> Module {
    Module { name, layer, may_use }
}

/// THE table. `proto` is the re-export of `eice_proto`, which everybody may use.
const LAYERS: &[Module] = &[
    module("proto", 0, &[]),
    module("setters", 0, &[]),
    module("listen", 1, &[]),
    module("roots", 1, &[]),
    module("telemetry", 1, &[]),
    module("model", 1, &["proto"]),
    module("aws", 2, &["proto", "roots", "telemetry", "model"]),
    module("tunnel", 2, &["proto", "roots", "telemetry", "model"]),
    module("ssh", 2, &["proto", "listen", "telemetry", "model"]),
    module("docker", 2, &["proto", "telemetry", "model"]),
    module("workspace", 2, &["proto", "telemetry", "model"]),
    module("emulator", 2, &["proto", "listen", "model"]),
    module("connect", 3, &["proto", "telemetry", "model", "aws", "tunnel", "ssh", "docker"]),
    module("files", 3, &["proto", "telemetry", "model", "docker"]),
    module("session", 3, &["proto", "telemetry", "model"]),
    module("client", 4, &["proto", "model", "aws", "tunnel", "ssh", "connect", "emulator"]),
    module(
        "gateway",
        4,
        &["proto", "listen", "roots", "telemetry", "model", "workspace", "files", "session"],
    ),
    module(
        "config",
        5,
        &[
            "proto",
            "listen",
            "telemetry",
            "model",
            "aws",
            "tunnel",
            "ssh",
            "docker",
            "workspace",
            "emulator",
            "connect",
            "files",
            "session",
            "gateway",
        ],
    ),
    module(
        "cli",
        6,
        &[
            "client",
            "proto",
            "listen",
            "telemetry",
            "model",
            "aws",
            "tunnel",
            "ssh",
            "docker",
            "workspace",
            "emulator",
            "connect",
            "files",
            "session",
            "gateway",
            "config",
        ],
    ),
];

/// Modules without imports of their own, which every module may name.
const EVERYWHERE: &[&str] = &["setters"];

/// What the protocol crate, which has no sockets, no clock and no files, may not name.
const NOT_IN_PROTO: &[&[&str]] = &[
    &["tokio"],
    &["Instant", "now"],
    &["SystemTime", "now"],
    &["std", "fs"],
    &["std", "thread"],
    &["std", "process"],
    &["TcpStream"],
    &["UdpSocket"],
];

fn find(name: &str) -> Option<&'static Module> {
    LAYERS.iter().find(|module| module.name == name)
}

/// What is wrong with `source`, the text of the module `of` (`["session", "run"]`): one line each.
fn violations(of: &[&str], source: &str) -> Vec<String> {
    let Some(own) = of.first().and_then(|top| find(top)) else {
        return vec![format!("{} is not in the table of layers", of.join("::"))];
    };
    let mut found = Vec::new();
    for path in paths(of, source) {
        match path.named {
            Named::Root => found.push(format!("line {}: names the crate's root as a whole", path.line)),
            Named::Module(name)
                if name == own.name
                    || EVERYWHERE.contains(&name.as_str())
                    || own.may_use.contains(&name.as_str()) => {}
            Named::Module(name) => {
                let way = match find(&name) {
                    Some(other) if other.layer > own.layer => "goes up to",
                    Some(other) if other.layer == own.layer => "goes sideways to",
                    Some(_) => "may not use",
                    None => "names what is not in the table of layers:",
                };
                found.push(format!(
                    "line {}: {} (L{}) {way} {name}: {}",
                    path.line, own.name, own.layer, path.text
                ));
            }
        }
    }
    found
}

fn rust_files(under: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    into.sort();
}

/// The module that a file under `src` is: `session/run.rs` is `["session", "run"]`.
fn module_of(file: &Path) -> Vec<String> {
    let mut segments: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if segments.last().is_some_and(|last| last == "mod") {
        segments.pop();
    }
    segments
}

#[test]
fn imports_go_down_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut wrong = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&src).unwrap();
        // The roots of the library and of the program stand above all.
        if relative == Path::new("lib.rs") || relative == Path::new("main.rs") {
            continue;
        }
        let segments = module_of(relative);
        let of: Vec<&str> = segments.iter().map(String::as_str).collect();
        let found = violations(&of, &fs::read_to_string(file).unwrap());
        wrong.extend(found.into_iter().map(|what| format!("src/{}: {what}", relative.display())));
    }
    assert!(files.len() > 20, "only {} files found in {}", files.len(), src.display());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn proto_has_no_io_and_no_clock() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("eice-proto/src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut wrong = Vec::new();
    // A test may ask the clock once: there is no other way to an `Instant`.
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        for (line, named) in paths::sequences(&fs::read_to_string(file).unwrap(), NOT_IN_PROTO) {
            wrong.push(format!("{}:{line}: {named}", file.display()));
        }
    }
    assert!(!files.is_empty());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn table_goes_down_only() {
    for own in LAYERS {
        for name in own.may_use {
            let other = find(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            assert!(other.layer < own.layer, "{} may use {name}, which is not below it", own.name);
        }
    }
}

/// Asserts that `source`, in the module `of`, is refused once and that the reason has `reason`.
#[track_caller]
fn refused(of: &[&str], source: &str, reason: &str) {
    let found = violations(of, source);
    assert_eq!(found.len(), 1, "{source:?} in {of:?}: {found:?}");
    assert!(found[0].contains(reason), "{source:?}: {found:?}");
}

#[track_caller]
fn accepted(of: &[&str], source: &str) {
    assert_eq!(violations(of, source), Vec::<String>::new(), "{source:?} in {of:?}");
}

#[test]
fn plain_use_is_refused() {
    refused(&["session"], "use crate::gateway::Router;", "session (L3) goes up to gateway");
    refused(&["session", "run"], "pub(super) use crate::connect;", "goes sideways to connect");
    refused(&["gateway", "mod"], "use crate::aws::AwsClient;", "gateway (L4) may not use aws");
    refused(&["aws"], "use crate::r#cli::y;", "goes up to cli");
}

#[test]
fn group_members_are_refused() {
    refused(&["ssh"], "use crate::{model::Size, gateway};", "goes up to gateway");
    refused(&["ssh"], "use crate::{model::{Size, Exit}, proto,\n    tunnel::{self, Tunnel}};", "line 2: ssh");
    refused(&["ssh"], "use {crate::cli::exit, std::fmt};", "goes up to cli");
    refused(&["ssh"], "use crate::{{{gateway}}};", "goes up to gateway");
}

#[test]
fn inline_path_is_refused() {
    refused(&["aws"], "fn f() -> u8 { crate::cli::exit::OK }", "goes up to cli");
    refused(&["aws"], "fn f(x: &dyn crate::gateway::T) {}", "goes up to gateway");
    refused(&["aws"], "fn f() { let x = <crate::session::S as Default>::default(); }", "goes up to session");
    refused(&["aws"], "impl From<Error> for crate::connect::Error {}", "goes up to connect");
    refused(&["aws"], "#[derive(Foo)] #[foo(with = crate::cli::x)] struct A;", "goes up to cli");
    refused(&["aws"], "crate :: /* why */ cli :: x!();", "goes up to cli");
}

#[test]
fn macro_path_is_refused() {
    refused(&["aws"], "macro_rules! m { () => { $crate::gateway::x() } }", "goes up to gateway");
    refused(&["aws"], "vec![crate::gateway::x()];", "goes up to gateway");
}

#[test]
fn crate_name_path_is_refused() {
    refused(&["aws"], "use eice::gateway;", "goes up to gateway");
    refused(&["aws"], "fn f() { ::eice::cli::main() }", "goes up to cli");
    accepted(&["aws"], "struct A { eice: u8 } fn f(a: A) { let eice = a.eice; eice_proto::x(); }");
}

#[test]
fn super_path_is_resolved() {
    refused(&["session", "run"], "use super::super::gateway;", "goes up to gateway");
    refused(&["session", "run", "deep"], "use super::super::super::gateway;", "goes up to gateway");
    refused(&["session", "run"], "fn f() { self::super::super::cli::x() }", "goes up to cli");
    refused(&["session", "run"], "use super::{queue, super::gateway::X};", "goes up to gateway");
    refused(&["session"], "use super::gateway;", "goes up to gateway");
    refused(&["session"], "mod tests { use super::super::gateway::X; }", "goes up to gateway");
    refused(&["session"], "mod a { mod b {} } use super::cli;", "goes up to cli");
    accepted(&["session", "run"], "use super::gateway;");
    accepted(&["session", "run"], "mod tests { use super::super::gateway; }");
    accepted(&["session", "run"], "use super::super::model::Size;");
}

#[test]
fn root_import_is_refused() {
    refused(&["aws"], "use crate as root;", "the crate's root");
    refused(&["aws"], "use crate::*;", "the crate's root");
    refused(&["aws"], "use crate::{self as root};", "the crate's root");
    refused(&["aws"], "use super::*;", "the crate's root");
    refused(&["aws", "http"], "use super::super as root;", "the crate's root");
    refused(&["aws", "http"], "use super::super::*;", "the crate's root");
    refused(&["aws"], "extern crate self as root;", "the crate's root");
    accepted(&["aws", "http"], "use super::*;");
    accepted(&["aws"], "pub(crate) fn f() {} pub(super) struct A(pub(crate) u8);");
}

#[test]
fn comments_and_strings_are_ignored() {
    accepted(&["aws"], "// crate::cli\n/* crate::cli /* crate::cli */ */\n/// [`crate::cli`]\nfn f() {}");
    accepted(&["aws"], r####"const A: &str = "crate::cli"; const B: &str = r#"" crate::cli "#; "####);
    accepted(&["aws"], r#"const A: &[u8] = b"\"crate::cli"; const C: char = '"'; fn f<'a>(x: &'a str) {}"#);
    refused(&["aws"], r#"const C: char = '"'; use crate::cli; const D: char = '\'';"#, "goes up to cli");
    refused(&["aws"], "fn f<'a>(x: &'a str) { crate::cli::x('a') }", "goes up to cli");
}

#[test]
fn unlisted_module_is_refused() {
    refused(&["brand_new"], "", "not in the table");
    refused(&["aws"], "use crate::brand_new;", "not in the table");
}
