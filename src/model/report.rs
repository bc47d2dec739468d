//! The result of a diagnosis: every check of connecting, for users, scripts and browsers. `docs/doctor.md`
//! explains every name; the names are stable.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Fault, Stage, StageError, Statement};

macro_rules! checks {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One check of a diagnosis. The order is that in which they run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Check {
            $($(#[$doc])* $variant,)*
        }

        impl Check {
            /// Every check, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns its stable name: the stage's name where it has a stage.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

checks! {
    /// Credentials and region are found, and AWS identifies the caller.
    Credentials = "credentials",
    /// `DescribeInstances`: may it be called, and does the instance exist?
    Instance = "instance",
    /// The instance runs.
    InstanceState = "instance-state",
    /// `DescribeInstanceConnectEndpoints`: may it be called, and is there an endpoint?
    Endpoint = "endpoint",
    /// The endpoint can be used.
    EndpointState = "endpoint-state",
    /// The endpoint supports an address that the instance has.
    AddressFamily = "address-family",
    /// The security groups allow the tunnel, as far as they can be read.
    SecurityGroups = "security-groups",
    /// `SendSSHPublicKey`.
    KeyPush = "key-push",
    /// TCP to the endpoint, or to the proxy.
    Tcp = "tcp",
    /// The tunnel through the proxy.
    Proxy = "proxy",
    /// TLS to the endpoint.
    Tls = "tls",
    /// `OpenTunnel`.
    Upgrade = "upgrade",
    /// sshd's identification.
    Banner = "banner",
    /// Key exchange, and the host key.
    KeyExchange = "key-exchange",
    /// The pushed key is accepted.
    Authentication = "authentication",
    /// As many channels as a terminal needs.
    Channel = "channel",
    /// The container engine answers this user.
    Engine = "engine",
    /// The container exists and runs.
    Container = "container",
    /// A shell starts on a PTY and ends with 0.
    Shell = "shell",
}

impl Check {
    /// Returns the check that covers `stage`.
    #[must_use]
    pub fn of(stage: Stage) -> Self {
        match stage {
            Stage::Workspace | Stage::Instance => Self::Instance,
            Stage::Credentials => Self::Credentials,
            Stage::Endpoint => Self::Endpoint,
            Stage::KeyPush => Self::KeyPush,
            Stage::Tcp => Self::Tcp,
            Stage::Proxy => Self::Proxy,
            Stage::Tls => Self::Tls,
            Stage::Upgrade => Self::Upgrade,
            Stage::Banner => Self::Banner,
            Stage::KeyExchange => Self::KeyExchange,
            Stage::Authentication => Self::Authentication,
            Stage::Channel => Self::Channel,
            Stage::Shell => Self::Shell,
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CheckOutcome {
    /// It succeeded.
    Passed,
    /// It failed, and therefore a terminal cannot be opened.
    Failed,
    /// A terminal opens, but something needs attention.
    Warned,
    /// It did not run because an earlier check failed.
    NotReached,
    /// It does not apply; the message says why.
    Skipped,
}

/// A change that fixes a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fix {
    /// A statement to add to the caller's IAM policy.
    IamStatement {
        /// The statement.
        statement: Statement,
    },
    /// A rule to add to a security group.
    SecurityGroupRule {
        /// The group's id.
        group: String,
        /// `inbound` or `outbound`.
        direction: &'static str,
        /// The TCP port.
        port: u16,
        /// The other end: a security group's id or an address block.
        peer: String,
    },
    /// A tag to add to a resource.
    Tag {
        /// The resource's id.
        resource: String,
        /// The tag's key.
        key: String,
        /// Its value.
        value: String,
    },
}

/// One check and its outcome.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CheckResult {
    /// The check.
    pub name: Check,
    /// Its outcome.
    pub outcome: CheckOutcome,
    /// How long it took, if it ran; in milliseconds as JSON.
    #[serde(rename = "ms", serialize_with = "milliseconds")]
    pub took: Option<Duration>,
    /// The AWS request id, if AWS was called.
    pub request_id: Option<String>,
    /// What was found, what failed, or why the check did not run. Without control characters.
    pub message: String,
    /// The kind of fault of a failure.
    pub fault: Option<Fault>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The exact changes that are missing.
    pub fixes: Vec<Fix>,
}

fn milliseconds<S: Serializer>(took: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match took {
        // Whole microseconds.
        Some(took) => serializer.serialize_f64((took.as_secs_f64() * 1e6).round() / 1e3),
        None => serializer.serialize_none(),
    }
}

impl CheckResult {
    /// Returns the result of the check `name`.
    #[must_use]
    pub fn new(name: Check, outcome: CheckOutcome, message: impl AsRef<str>) -> Self {
        Self {
            name,
            outcome,
            took: None,
            request_id: None,
            message: super::escape_control(message.as_ref()),
            fault: None,
            hint: None,
            fixes: Vec::new(),
        }
    }

    /// Returns the result of the check `name`, which failed with `error`.
    #[must_use]
    pub fn failed(name: Check, error: &StageError) -> Self {
        Self {
            request_id: error.request_id().map(str::to_owned),
            fault: Some(error.fault()),
            hint: error.hint().map(super::escape_control),
            ..Self::new(name, CheckOutcome::Failed, error.chain())
        }
    }

    /// Sets how long it took.
    #[must_use]
    pub fn after(mut self, took: Option<Duration>) -> Self {
        self.took = took;
        self
    }

    /// Sets the AWS request id.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id;
        self
    }

    /// Adds a change that fixes the failure.
    #[must_use]
    pub fn with_fix(mut self, fix: Fix) -> Self {
        self.fixes.push(fix);
        self
    }
}

/// What was diagnosed, as far as it is known.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Subject {
    /// The instance's id.
    pub instance: Option<String>,
    /// The login name.
    pub os_user: Option<String>,
    /// The container on the instance.
    pub container: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The account of the caller.
    pub account: Option<String>,
    /// The caller's ARN.
    pub caller: Option<String>,
    /// The endpoint's id.
    pub endpoint: Option<String>,
    /// The private address that the tunnel goes to.
    pub address: Option<IpAddr>,
    /// The port that the tunnel goes to.
    pub port: Option<u16>,
}

/// The result of a diagnosis. Its JSON has the schema in `docs/doctor.md`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    ok: bool,
    first_failure: Option<Check>,
    #[serde(flatten)]
    subject: Subject,
    #[serde(rename = "ms", serialize_with = "milliseconds")]
    took: Option<Duration>,
    steps: Vec<CheckResult>,
}

impl Report {
    /// Returns the report of `steps`. Checks without an entry were not reached.
    #[must_use]
    pub fn new(subject: Subject, mut steps: BTreeMap<Check, CheckResult>, took: Duration) -> Self {
        let first = steps.values().find(|step| step.outcome == CheckOutcome::Failed).map(|step| step.name);
        // A check that was not reached names the failure before it.
        let mut because = first.map_or("an earlier check", Check::name);
        let steps: Vec<_> = Check::ALL
            .iter()
            .map(|check| match steps.remove(check) {
                Some(step) => {
                    if step.outcome == CheckOutcome::Failed {
                        because = check.name();
                    }
                    step
                }
                None => CheckResult::new(
                    *check,
                    CheckOutcome::NotReached,
                    format!("not reached: {because} failed"),
                ),
            })
            .collect();
        let ok =
            !steps.iter().any(|step| matches!(step.outcome, CheckOutcome::Failed | CheckOutcome::NotReached));
        Self { ok, first_failure: first, subject, took: Some(took), steps }
    }

    /// Returns whether a terminal can be opened: nothing failed and everything was reached.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.ok
    }

    /// Returns the first check that failed.
    #[must_use]
    pub fn first_failure(&self) -> Option<&CheckResult> {
        self.steps.iter().find(|step| Some(step.name) == self.first_failure)
    }

    /// Returns what was diagnosed.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns every check, in order.
    #[must_use]
    pub fn steps(&self) -> &[CheckResult] {
        &self.steps
    }

    /// Returns the result of `check`.
    #[must_use]
    pub fn step(&self, check: Check) -> Option<&CheckResult> {
        self.steps.iter().find(|step| step.name == check)
    }

    /// Returns how long the diagnosis took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn report_json_names_first_failure() {
        let denied =
            StageError::new(Stage::Upgrade, Fault::Denied, "no\u{1b}").with_request_id(Some("r-1".into()));
        let steps = [
            CheckResult::new(Check::Credentials, CheckOutcome::Passed, "you")
                .after(Some(Duration::from_micros(1500))),
            CheckResult::failed(Check::Upgrade, &denied).with_fix(Fix::Tag {
                resource: "eice-1".into(),
                key: "Role".into(),
                value: "workspace".into(),
            }),
            CheckResult::new(Check::Container, CheckOutcome::Skipped, "no container is named"),
        ];
        let steps = steps.into_iter().map(|step| (step.name, step)).collect();
        let report = Report::new(Subject::default(), steps, Duration::from_secs(1));
        assert!(!report.is_ok());
        assert_eq!(report.first_failure().unwrap().name, Check::Upgrade);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["ok"], &json["first_failure"]), (&json!(false), &json!("upgrade")));
        assert_eq!(json["steps"].as_array().unwrap().len(), Check::ALL.len());
        assert_eq!(json["steps"][0]["ms"], json!(1.5));
        assert_eq!(json["steps"][1]["outcome"], json!("not-reached"));
        let upgrade =
            json["steps"].as_array().unwrap().iter().find(|step| step["name"] == "upgrade").unwrap();
        assert_eq!(
            *upgrade,
            json!({
                "name": "upgrade", "outcome": "failed", "ms": null, "request_id": "r-1", "message": "no\\u{1b}",
                "fault": "denied", "hint": null,
                "fixes": [{"kind": "tag", "resource": "eice-1", "key": "Role", "value": "workspace"}],
            })
        );
    }

    #[test]
    fn check_names_match_stages() {
        let mut names: Vec<_> = Check::ALL.iter().map(|check| check.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Check::ALL.len());
        for stage in Stage::ALL {
            if stage != Stage::Workspace {
                assert_eq!(Check::of(stage).name(), stage.name());
            }
        }
    }
}
