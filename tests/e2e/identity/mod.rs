//! The precedence of credentials in every verb: each source names another principal, and the emulator records the
//! caller.

mod attended;
mod matrix;
mod metadata;
mod odd;
mod settings;

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Mutex;

use eice::emulator::{EmulatorConfig, IamPolicy, IamRole, IamUser};

use crate::lab::{ClientShell, CommandOutput, World};

/// The sources of a principal by descending precedence; each names the principal of the same name.
pub(super) const PLACES: [&str; 5] = ["option", "workspace", "environment", "variable", "default"];

/// The principal of the machine, whose keys come with a session token.
pub(super) const MACHINE: &str = "machine";
pub(super) const SESSION_TOKEN: &str = "a-session-token";

/// The role of the emulated account.
pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/terminal";

/// An account with a principal for each source, and a user with a profile for each.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) shell: ClientShell,
    /// The number of records already checked.
    seen: Mutex<usize>,
}

fn key_id(place: &str) -> String {
    format!("AKIAEICE{:0>12}", place.to_uppercase())
}

fn secret(place: &str) -> String {
    format!("{place:x>40}")
}

impl Scene {
    pub(super) async fn start() -> Self {
        let principals = PLACES.map(|place| IamUser {
            name: place.to_owned(),
            access_key_id: key_id(place),
            secret_access_key: secret(place).into(),
            policies: vec![everything()],
            ..IamUser::default()
        });
        let machine = IamUser {
            name: MACHINE.to_owned(),
            access_key_id: key_id(MACHINE),
            secret_access_key: secret(MACHINE).into(),
            session_token: Some(SESSION_TOKEN.into()),
            policies: vec![everything()],
        };
        let principals = principals.into_iter().chain([machine]).collect();
        let role = IamRole { name: "terminal".into(), policies: vec![everything()], ..IamRole::default() };
        let config = EmulatorConfig { principals, roles: vec![role], ..EmulatorConfig::default() };
        let world = World::with(config).await;
        let mut shell = ClientShell::new(&world);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            shell.unset(name);
        }
        let scene = Self { world, shell, seen: Mutex::new(0) };
        scene.write("");
        scene
    }

    /// Writes the configuration file: a profile for each source, and `more`.
    pub(super) fn write(&self, more: &str) {
        let folder = self.shell.file(".aws");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config"), profiles() + more).unwrap();
    }

    /// Returns the variables with which the sources from `strongest` on name their principals.
    pub(super) fn variables(strongest: &str) -> Vec<(&'static str, String)> {
        let at = PLACES.iter().position(|place| *place == strongest).unwrap();
        let mut variables = Vec::new();
        for place in &PLACES[at..] {
            match *place {
                "environment" => {
                    variables.push(("AWS_ACCESS_KEY_ID", key_id(place)));
                    variables.push(("AWS_SECRET_ACCESS_KEY", secret(place)));
                }
                "variable" => variables.push(("AWS_PROFILE", (*place).to_owned())),
                _ => {}
            }
        }
        variables
    }

    /// Runs `eice ARGS` with `variables` added.
    pub(super) async fn run(&self, args: &[&str], variables: &[(&str, String)]) -> CommandOutput {
        let mut command = self.detached(args);
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        crate::lab::run_to_end(command, b"").await
    }

    /// Returns `eice ARGS` without a terminal, even when the tests have one, where it would prompt.
    pub(super) fn detached(&self, args: &[&str]) -> Command {
        let plain = self.shell.command(args);
        let mut command = Command::new(crate::lab::program("setsid"));
        command.arg("--wait").arg(plain.get_program()).args(plain.get_args());
        command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// Returns the callers since the last call: each name once, and roles by the role's name.
    pub(super) fn callers(&self) -> Vec<String> {
        let records = self.world.emulator.records();
        let mut seen = self.seen.lock().unwrap();
        let mut callers: Vec<String> = records[*seen..]
            .iter()
            .filter(|record| record.event_name != "AssumeRole")
            .map(|record| record.user_identity.arn.split('/').nth(1).unwrap_or_default().to_owned())
            .collect();
        *seen = records.len();
        callers.sort();
        callers.dedup();
        callers
    }
}

fn everything() -> IamPolicy {
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#
        .parse()
        .unwrap()
}

/// Returns a profile for each source.
pub(super) fn profiles() -> String {
    let mut text = String::new();
    for place in PLACES {
        let section = if place == "default" { place.to_owned() } else { format!("profile {place}") };
        writeln!(
            text,
            "[{section}]\naws_access_key_id = {}\naws_secret_access_key = {}",
            key_id(place),
            secret(place)
        )
        .unwrap();
    }
    text
}
