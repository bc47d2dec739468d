//! A headless Chromium on the page of `eice demo`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::lab::{Docker, Program, program};

/// Where the screenshot is kept.
fn kept() -> PathBuf {
    let folder = std::env::var_os("EICE_TEST_OUT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/e2e"), PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_typed_in_the_page_shows_its_output() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/e2e/terminal.mjs");
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/node_modules/playwright-core");
    assert!(modules.is_dir(), "the page's tools are not installed: run `make web` (nodejs and npm)");
    program("chromium");
    let env = [("DOCKER_HOST", Docker::shared().host())];
    let demo = Program::start(&["demo", "--listen", "127.0.0.1:0", "--json"], &env);
    let began = std::time::SystemTime::now();
    let link = demo.ready.link.clone().unwrap();
    let mut node = Command::new(program("node"));
    node.arg(script).arg(&link).arg(kept()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || node.output().unwrap()).await.unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{}", demo.stderr());
    let pictures = std::fs::read_dir(kept()).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let mut pictures = pictures.filter(|path| path.extension().is_some_and(|extension| extension == "png"));
    let is_new = |path: std::path::PathBuf| {
        let meta = std::fs::metadata(path).unwrap();
        meta.len() > 1000 && meta.modified().unwrap() >= began
    };
    assert!(pictures.any(is_new), "no screenshot:\n{said}");
}
