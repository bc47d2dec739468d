//! The names of an instance on the command line.

use std::fs;
use std::net::Ipv4Addr;

use eice::emulator::{EmulatorConfig, InstanceSpec, InstanceState};

use crate::lab::{ClientShell, INSTANCE, World};

const WORKSPACE: &str = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";

fn instance(id: &str, address: u8, tags: &[(&str, &str)]) -> InstanceSpec {
    let tags = tags.iter().chain([&("Role", "workspace")]);
    let tags = tags.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    InstanceSpec {
        id: id.parse().unwrap(),
        private_ip: Some(Ipv4Addr::new(10, 0, 1, address)),
        tags: tags.collect(),
        ..InstanceSpec::default()
    }
}

/// Starts an account with six instances, two of which have the same name.
async fn world() -> World {
    let stopped = InstanceState::Stopped;
    let instances = vec![
        instance(INSTANCE, 23, &[("Name", "web"), ("WorkspaceId", WORKSPACE)]),
        instance("i-0000000000000000a", 24, &[("Name", "w*b")]),
        instance("i-0000000000000000b", 25, &[("Name", "twin")]),
        instance("i-0000000000000000c", 26, &[("Name", "twin")]),
        InstanceSpec { state: stopped, ..instance("i-0000000000000000d", 27, &[("Name", "web")]) },
        InstanceSpec { state: stopped, ..instance("i-0000000000000000e", 28, &[("Name", "asleep")]) },
    ];
    World::with(EmulatorConfig { instances, ..EmulatorConfig::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_has_four_kinds_of_name() {
    let world = world().await;
    let shell = ClientShell::new(&world);
    for name in [INSTANCE, "web", "name:web", "10.0.1.23", WORKSPACE, "w*b"] {
        shell.run(&["ssh", name, "--", "true"], b"").await.expect_success();
    }
    let looked_up = world.emulator.records().iter().filter(|r| r.event_name == "DescribeInstances").count();
    assert_eq!(looked_up, 6, "the name's look-up serves as the instance's");
    let pushes = world.emulator.records();
    let pushed = pushes.iter().rfind(|record| record.event_name == "SendSSHPublicKey").unwrap();
    assert!(pushed.request_parameters.to_string().contains("i-0000000000000000a"), "a star is a star");
    let said = shell.run(&["ssh", "fd00::99", "--", "true"], b"").await;
    assert_eq!(said.code, Some(66), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_or_ambiguous_name_fails() {
    let world = world().await;
    let shell = ClientShell::new(&world);
    let said = shell.run(&["ssh", "twin", "--", "true"], b"").await;
    assert_eq!(said.code, Some(64), "{}", said.stderr);
    for part in ["2 instances have the tag Name=twin", "i-0000000000000000b (running)", "by its id"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    let said = shell.run(&["tunnel", "nobody"], b"").await;
    assert_eq!(said.code, Some(66), "{}", said.stderr);
    assert!(said.stderr.contains("no instance in eu-west-1 has the tag Name=nobody"), "{}", said.stderr);
    let said = shell.run(&["ssh", "asleep", "--", "true"], b"").await;
    assert_eq!(said.code, Some(69), "{}", said.stderr);
    assert!(said.stderr.contains("stopped"), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_entry_sets_all_options() {
    let world = world().await;
    let mut shell = ClientShell::new(&world);
    let file = shell.file("directory.toml");
    let text = format!(
        "[[workspace]]\nid = \"{WORKSPACE}\"\nname = \"a\"\ninstance = \"i-0000000000000000b\"\nos_user = \"ubuntu\"\n"
    );
    fs::write(&file, text).unwrap();
    shell.export("EICE_DIRECTORY", file.display().to_string());
    shell.run(&["ssh", WORKSPACE, "--", "true"], b"").await.expect_success();
    let records = world.emulator.records();
    let pushed = records.iter().find(|record| record.event_name == "SendSSHPublicKey").unwrap();
    let parameters = pushed.request_parameters.to_string();
    assert!(parameters.contains("i-0000000000000000b") && parameters.contains("ubuntu"), "{parameters}");
    let said = shell.run(&["ssh", &WORKSPACE.replace("0a", "1a"), "--", "true"], b"").await;
    assert_eq!(said.code, Some(66), "{}", said.stderr);
    assert!(said.stderr.contains("has no workspace"), "{}", said.stderr);
}
