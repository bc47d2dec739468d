//! A headless Chromium on the gateway's page: where a terminal opens, and where none does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use eice::emulator::Config;

use crate::lab::{
    Docker, GatewayProgram, OTHER_TOKEN, OTHER_WORKSPACE, Program, Served, Sshd, TOKEN, WORKSPACE, World,
    program,
};

/// Where the screenshots are kept.
fn kept() -> PathBuf {
    let folder = std::env::var_os("EICE_TEST_OUT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/e2e"), PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Plays the scenes of `web/e2e/SCRIPT` with the page at `link`, which get what `more` says besides; they must succeed and
/// leave these screenshots.
async fn plays(script: &str, link: &str, more: &[&str], pictures: &[&str]) {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let modules = web.join("node_modules/playwright-core");
    assert!(modules.is_dir(), "the page's tools are not installed: run `make web` (nodejs and npm)");
    program("chromium");
    let began = SystemTime::now();
    let mut node = Command::new(program("node"));
    node.arg(web.join("e2e").join(script)).arg(link).arg(kept()).args(more).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || node.output().unwrap()).await.unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for picture in pictures {
        let picture =
            std::fs::metadata(kept().join(picture)).unwrap_or_else(|error| panic!("{picture}: {error}"));
        assert!(picture.len() > 1000 && picture.modified().unwrap() >= began, "{picture:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_typed_in_the_page_shows_its_output() {
    let env = [("DOCKER_HOST", Docker::shared().host())];
    let demo = Program::start(&["demo", "--listen", "127.0.0.1:0", "--json"], &env);
    let link = demo.ready.link.clone().unwrap();
    let pictures = ["terminal.png", "light.png", "phone.png", "ended.png", "sign-in-over.png"];
    plays("terminal.mjs", &link, &[], &pictures).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_does_not_open_says_why() {
    let world = World::with(Config { dial_timeout_ms: 300, ..Config::default() }).await;
    world.denies("ec2-instance-connect:SendSSHPublicKey");
    world.emulator.edit_security_groups(|groups| groups.iter_mut().for_each(|group| group.ingress.clear()));
    let served = Served::start(&world, "").await;
    let link = format!("http://{}/#token={TOKEN}", served.addr);
    let pictures =
        ["diagnose.png", "diagnose-light.png", "diagnose-phone.png", "denied.png", "denied-sign-in.png"];
    plays("refusals.mjs", &link, &[], &pictures).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_terminals_are_listed_and_closed_by_those_who_may() {
    let sshd = Sshd::start();
    let gateway = GatewayProgram::start_for(World::of(&sshd).await, &["http://acme.localhost"], "");
    let pictures = [
        "terminals.png",
        "terminals-light.png",
        "terminals-close.png",
        "terminals-phone.png",
        "terminals-phone-close.png",
    ];
    let more = [WORKSPACE, TOKEN, OTHER_WORKSPACE, OTHER_TOKEN];
    plays("terminals.mjs", &gateway.addr().to_string(), &more, &pictures).await;
    gateway.is_idle();
    sshd.is_idle();
    gateway.stop().await;
}
