//! Runs the scripts of `web/e2e` in a headless Chromium.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::program;

/// How long a script may take. Its own waits are much shorter; this allows for several tests on two slow cores.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(600);

/// Returns the folder for screenshots.
fn kept() -> PathBuf {
    let folder = std::env::var_os("EICE_TEST_OUT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/e2e"), PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs `web/e2e/SCRIPT` against the gateway at `place`, a link or an address, with the arguments `more`. Asserts that
/// it succeeds and writes `pictures`, and returns the JSON that it prints.
pub(crate) async fn plays(script: &str, place: &str, more: &[&str], pictures: &[&str]) -> Value {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let modules = web.join("node_modules/playwright-core");
    assert!(modules.is_dir(), "the page's tools are not installed: run `make web` (nodejs and npm)");
    program("chromium");
    let began = SystemTime::now();
    let mut node = Command::new(program("node"));
    node.arg(web.join("e2e").join(script)).arg(place).arg(kept()).args(more);
    let playing = node.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(SCRIPT_TIMEOUT, playing).await.expect("the script ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for picture in pictures {
        let picture =
            std::fs::metadata(kept().join(picture)).unwrap_or_else(|error| panic!("{picture}: {error}"));
        assert!(picture.len() > 1000 && picture.modified().unwrap() >= began, "{picture:?}");
    }
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}
