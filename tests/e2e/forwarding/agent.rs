//! `-A`: the user's ssh-agent, seen from the instance.

use crate::lab::{Agent, ClientMachine, ClientShell, keygen};

#[tokio::test(flavor = "multi_thread")]
async fn agent_needs_a_flag() {
    const LOOK: &str = "ssh-add -l; echo status=$? sock=$SSH_AUTH_SOCK.";
    let client = ClientMachine::start().await;
    let strict = ClientMachine::with("AllowAgentForwarding no").await;
    let socket = client.here().join("agent").display().to_string();
    let agent = Agent::start(&socket);
    let key = client.here().join("key").display().to_string();
    keygen("ed25519", "", "the-key", &key);
    agent.add(&key);
    let go = async |to: &ClientMachine, socket: Option<&str>, options: &[&str], command: &str| {
        let mut shell = ClientShell::new(&to.world);
        if let Some(socket) = socket {
            shell.export("SSH_AUTH_SOCK", socket);
        }
        let args = [&["ssh"], options, &[to.destination.as_str(), "--", command]].concat();
        shell.run(&args, b"").await
    };
    let said = go(&client, Some(&socket), &["-A"], LOOK).await.expect_success();
    assert!(said.contains("the-key (ED25519)") && said.contains("status=0"), "{said}");
    let several = "for n in 1 2 3; do ssh-add -L & done; wait";
    let said = go(&client, Some(&socket), &["-A"], several).await.expect_success();
    assert_eq!(said.matches("the-key").count(), 3, "{said}");

    let said = go(&client, Some(&socket), &[], LOOK).await.expect_success();
    assert!(said.contains("status=2 sock=."), "off unless asked for: {said}");
    let said = go(&strict, Some(&socket), &["-A"], LOOK).await;
    assert!(said.stderr.contains("refuses to forward the agent"), "{said:?}");
    assert!(said.expect_success().contains("status=2 sock=."), "and the command runs without");

    let said = go(&client, None, &["-A"], LOOK).await;
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(said.stderr.contains("SSH_AUTH_SOCK is not set") && said.stderr.contains("hint: "), "{said:?}");
    assert_eq!(go(&client, Some("/nonexistent"), &["-A"], LOOK).await.code, Some(69));
    client.is_idle();
}
