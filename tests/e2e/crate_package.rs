//! The packages for `cargo install` and crates.io.

use std::collections::BTreeSet;
use std::path::Path;

use crate::lab::run_ok;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the files that cargo packs for `name`.
fn packed(name: &str) -> BTreeSet<String> {
    let manifest = root().join("Cargo.toml");
    let manifest = manifest.to_str().unwrap();
    let args = ["package", "--list", "--allow-dirty", "--offline", "--manifest-path", manifest, "-p", name];
    run_ok(env!("CARGO"), args).lines().map(str::to_owned).collect()
}

/// Returns the files that git tracks below `folder`.
fn tracked(folder: &str) -> BTreeSet<String> {
    let root = root().to_str().unwrap();
    // The checkout may belong to another user.
    let safe = format!("safe.directory={root}");
    let text = run_ok("git", ["-c", &safe, "-C", root, "ls-files", folder]);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn package_has_all_build_inputs() {
    let packed = packed("eice");
    for file in ["Cargo.toml", "Cargo.lock", "README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(packed.contains(file), "{file}");
    }
    let sources = tracked("src");
    assert!(sources.len() > 100, "{}", sources.len());
    let missing: Vec<_> = sources.difference(&packed).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let proto = self::packed("eice-proto");
    let sources = tracked("eice-proto/src");
    let missing: Vec<_> =
        sources.iter().filter(|file| !proto.contains(file.trim_start_matches("eice-proto/"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn package_has_no_build_output() {
    for file in packed("eice") {
        for folder in
            ["target/", "web/dist/", "web/node_modules/", ".git/", ".github/", ".ci/", "eice-proto/", "fuzz/"]
        {
            assert!(!file.starts_with(folder), "{file}");
        }
    }
}
