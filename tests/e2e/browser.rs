//! A headless Chromium on the gateway's page: where a terminal opens, and where none does.

use eice::emulator::EmulatorConfig;

use crate::lab::{
    Docker, GatewayProgram, InProcessGateway, OTHER_TOKEN, OTHER_WORKSPACE, Program, Sshd, TOKEN, WORKSPACE,
    World, plays,
};

#[tokio::test(flavor = "multi_thread")]
async fn typed_command_shows_output() {
    let env = [("DOCKER_HOST", Docker::shared().host())];
    let demo = Program::start(&["demo", "--listen", "127.0.0.1:0", "--json"], &env);
    let link = demo.ready.link.clone().unwrap();
    let pictures = ["terminal.png", "light.png", "phone.png", "ended.png", "sign-in-over.png"];
    plays("terminal.mjs", &link, &[], &pictures).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_terminal_shows_reason() {
    let world = World::with(EmulatorConfig { dial_timeout_ms: 300, ..EmulatorConfig::default() }).await;
    world.deny("ec2-instance-connect:SendSSHPublicKey");
    world.emulator.edit_security_groups(|groups| groups.iter_mut().for_each(|group| group.ingress.clear()));
    let served = InProcessGateway::start(&world, "").await;
    let link = format!("http://{}/#token={TOKEN}", served.addr);
    let pictures =
        ["diagnose.png", "diagnose-light.png", "diagnose-phone.png", "denied.png", "denied-sign-in.png"];
    plays("refusals.mjs", &link, &[], &pictures).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permitted_users_list_and_close_terminals() {
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

#[tokio::test(flavor = "multi_thread")]
async fn cut_output_keeps_its_characters() {
    let sshd = Sshd::start();
    let gateway = GatewayProgram::start_for(World::of(&sshd).await, &["http://acme.localhost"], "");
    let more = [WORKSPACE, TOKEN];
    let seen = plays("characters.mjs", &gateway.addr().to_string(), &more, &["characters.png"]).await;
    assert_eq!(seen, serde_json::json!({"eicterm": 27, "scripted": 27, "legacy": 27}));
    gateway.is_idle();
    sshd.is_idle();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_replace_no_session_unasked() {
    let sshd = Sshd::start();
    let gateway = GatewayProgram::start_for(World::of(&sshd).await, &["http://acme.localhost"], "");
    let more = [WORKSPACE, TOKEN, OTHER_WORKSPACE, OTHER_TOKEN];
    let pictures = [
        "empty.png",
        "leaving.png",
        "replacing.png",
        "replaced.png",
        "phone-terminal.png",
        "phone-empty.png",
        "phone-replacing.png",
    ];
    let seen = plays("links.mjs", &gateway.addr().to_string(), &more, &pictures).await;
    assert_eq!(seen, serde_json::json!({"sockets": 1}));
    gateway.is_idle();
    sshd.is_idle();
    gateway.stop().await;
}
