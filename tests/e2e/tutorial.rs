//! The platform's tutorial, as written, against `eice demo`; only the host name differs.

use std::process::{Command, Stdio};

use eice::cli::ready::ShellKind;
use eice_proto::Credentials;

use crate::lab::{Docker, Program, Viewer, cloudtrail, output, program};

/// The tutorial's commands. The test does the manual parts of steps 3 and 5.
const SCRIPT: &str = include_str!("tutorial.sh");

/// The tutorial's host.
const HOST: &str = "https://acme.moleculesai.app";

#[tokio::test(flavor = "multi_thread")]
async fn tutorial_runs_as_written() {
    let docker_host = Docker::shared().host();
    let demo =
        Program::start(&["demo", "--listen", "127.0.0.1:0", "--json"], &[("DOCKER_HOST", docker_host)]);
    let ready = &demo.ready;
    assert_eq!(ready.shell, Some(ShellKind::Container), "{:?}", ready.shell_reason);
    let token = ready.token.clone().unwrap();

    // Steps 1 and 2 in a shell.
    let (shell_steps, rest) = SCRIPT.split_once("# 3. ").unwrap();
    let script = shell_steps.replace(HOST, &ready.url);
    assert!(!script.contains("acme"), "{script}");
    for needed in ["bash", "curl", "jq", "grep"] {
        program(needed);
    }
    let mut shell = Command::new(program("bash"));
    shell.args(["-euo", "pipefail", "-c", &format!("{script}\necho \"WS=$WS\"")]);
    shell.env("ORG_TOKEN", &token).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || output(&mut shell)).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let workspace = said.lines().find_map(|line| line.strip_prefix("WS=")).unwrap().to_owned();
    assert!(said.contains(&format!("Workspace {workspace} is ready")), "{said}");
    assert_ne!(Some(&workspace), ready.workspace.as_ref(), "a workspace of its own");

    // Steps 3 and 4 in its terminal.
    let (_, typed) = rest.split_once("# 4. ").unwrap();
    let (typed, _) = typed.split_once("# 5. ").unwrap();
    let mut viewer = Viewer::open(demo.addr(), &workspace, &token).await;
    let commands: Vec<&str> =
        typed.lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(commands.len(), 3);
    for (n, command) in commands.iter().enumerate() {
        viewer.line(command).await;
        viewer.line(&format!("echo do''ne{n}")).await;
        let said = viewer.until(&format!("done{n}")).await;
        let expected = match n {
            0 => "root\r\n",
            1 => "% /\r\n",
            _ => &format!("{workspace}\r\n"),
        };
        assert!(said.contains(expected), "{command}: {said}");
    }
    viewer.line("exit").await;
    assert_eq!(viewer.finish().await.close, Some((1000, String::new())));

    // Step 5 by CloudTrail: OpenTunnel has the principal and the private address but not the instance, which is in
    // SendSSHPublicKey.
    let credentials = ready.credentials.clone().unwrap();
    let credentials = Credentials::new(
        &credentials.access_key_id,
        &credentials.secret_access_key,
        credentials.session_token.clone(),
    );
    let region = ready.region.clone().unwrap();
    let api = ready.endpoint_urls.clone().unwrap().cloudtrail;
    let api = api.strip_prefix("http://").unwrap().parse().unwrap();
    let tunnels = cloudtrail::events(api, &credentials, &region, "OpenTunnel").await;
    let principal = |record: &serde_json::Value| record["userIdentity"]["arn"].as_str().unwrap().to_owned();
    let pushes = cloudtrail::events(api, &credentials, &region, "SendSSHPublicKey").await;
    let push = pushes
        .iter()
        .find(|record| record["requestParameters"]["instanceId"] == *ready.instance.as_ref().unwrap())
        .unwrap_or_else(|| panic!("no key was pushed: {pushes:?}"));
    let tunnel = tunnels
        .iter()
        .find(|record| principal(record) == principal(push))
        .unwrap_or_else(|| panic!("no tunnel of {}: {tunnels:?}", principal(push)));
    assert!(principal(tunnel).starts_with("arn:aws:iam::"));
    assert_eq!(tunnel["eventSource"], "ec2-instance-connect.amazonaws.com");
    assert_eq!(tunnel["requestParameters"]["privateIpAddress"], "10.0.1.23");
    assert!(tunnel["requestParameters"]["instanceConnectEndpointId"].as_str().unwrap().starts_with("eice-"));
    assert!(!tunnel.to_string().contains(ready.instance.as_ref().unwrap().as_str()), "{tunnel}");
}
