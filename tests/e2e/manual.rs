//! The manual pages, checked by the programs that render them.

use std::fs;
use std::path::PathBuf;

use crate::lab::{EICE, program, run, run_ok};

/// Writes all pages into a temporary folder; returns it and their paths.
fn pages() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    run_ok(EICE, ["man", dir.path().to_str().unwrap()]);
    let mut pages: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() > 5, "{pages:?}");
    (dir, pages)
}

#[test]
fn groff_has_no_warning() {
    let (_dir, pages) = pages();
    for page in pages {
        let output = run("groff", ["-man", "-Tutf8", "-Kutf8", "-ww", "-rLL=100n", page.to_str().unwrap()]);
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {output:?}", page.display());
    }
}

#[test]
fn mandoc_warns_only_of_date() {
    let (_dir, pages) = pages();
    program("mandoc");
    for page in pages {
        let output = run("mandoc", ["-T", "lint", "-W", "warning", page.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let others: Vec<&str> = said.lines().filter(|line| !line.contains("missing date")).collect();
        assert!(others.is_empty(), "{}: {others:#?}", page.display());
    }
}

#[test]
fn page_reads_like_a_manual() {
    let (dir, _) = pages();
    let page = dir.path().join("eice-ssh.1");
    let text = run_ok("mandoc", ["-T", "ascii", "-O", "width=100", page.to_str().unwrap()]);
    // Bold text is rendered as overstruck letters.
    let mut plain = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letters.peek() == Some(&'\u{8}') {
            letters.next();
        } else {
            plain.push(letter);
        }
    }
    for part in [
        "EICE-SSH(1)",
        "EXIT STATUS\n",
        "\n       eice ssh web-1\n",
        "\n       64     the command line is wrong\n",
        "AWS_CA_BUNDLE\n",
    ] {
        assert!(plain.contains(part), "no {part:?} in {plain}");
    }
}
