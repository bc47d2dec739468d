//! `eice doctor` against every fault that the emulator and real servers can have: the first failure, the exit code, and
//! whether following the advice fixes it.

mod container;
mod login;
mod network;
mod permissions;
mod report;
mod target;

use eice::emulator::{EmulatorConfig, IamPolicy};
use serde_json::{Value, json};

use crate::lab::{ClientShell, CommandOutput, INSTANCE, World, eventually};

const ENDPOINT: &str = "eice-0123456789abcdef0";

/// A user of `eice doctor`.
struct Patient {
    world: World,
    shell: ClientShell,
    args: Vec<String>,
}

impl Patient {
    fn new(world: World) -> Self {
        let shell = ClientShell::new(&world);
        let user = world.target().os_user;
        Self { world, shell, args: vec!["doctor".into(), format!("{user}@{INSTANCE}")] }
    }

    async fn builtin() -> Self {
        Self::new(World::with(quick()).await)
    }

    fn with(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(ToString::to_string));
        self
    }

    async fn ask(&self, more: &[&str]) -> CommandOutput {
        let args: Vec<_> = self.args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let said = self.shell.run(&args, b"").await;
        eventually("the doctor leaves no tunnel", || (self.world.emulator.open_tunnels() == 0).then_some(()));
        let secret = self.world.emulator.access().secret_access_key().to_owned();
        let stdout = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(!stdout.contains(&secret) && !said.stderr.contains(&secret), "a secret was printed");
        said
    }

    /// Returns the report; asserts its exit code and its first failure, whose text must contain all of `words`.
    #[track_caller]
    fn fails<'a>(
        &'a self,
        first: &'a str,
        code: i32,
        words: &'a [&'a str],
    ) -> impl Future<Output = Value> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let said = self.ask(&["--json"]).await;
            let report: Value = serde_json::from_slice(&said.stdout)
                .unwrap_or_else(|error| panic!("{caller}: {error}: {said:?}"));
            let got = (report["first_failure"].as_str(), said.code);
            assert_eq!(got, (Some(first), Some(code)), "{caller}: {report:#}");
            assert_eq!(report["ok"], false);
            let failed = step(&report, first);
            assert!(failed["hint"].is_string(), "{caller}: nothing to do: {failed:#}");
            for word in words {
                assert!(failed.to_string().contains(word), "{caller}: no {word:?} in {failed:#}");
            }
            // Every later step was either tried independently or not reached.
            assert_eq!(report["steps"].as_array().unwrap().len(), 19);
            report
        }
    }

    async fn passes(&self) -> Value {
        let said = self.ask(&["--json"]).await;
        let report: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(said.code, Some(0), "{report:#}\n{}", said.stderr);
        assert_eq!((&report["ok"], &report["first_failure"]), (&json!(true), &Value::Null));
        report
    }

    fn set_policy(&self, policy: &Value) {
        let policy: IamPolicy = serde_json::from_value(policy.clone()).unwrap();
        let key = self.world.emulator.access().access_key_id().to_owned();
        assert!(self.world.emulator.set_policies(&key, vec![policy]));
    }
}

/// Returns a configuration that gives up quickly on what cannot be reached.
fn quick() -> EmulatorConfig {
    EmulatorConfig { dial_timeout_ms: 300, ..EmulatorConfig::default() }
}

fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

fn outcomes(report: &Value, of: &str) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap().iter().filter(|step| step["outcome"] == of);
    steps.map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

/// Returns the default user's policy without `action`.
fn without(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "NotAction": action, "Resource": "*"},
    ]})
}
