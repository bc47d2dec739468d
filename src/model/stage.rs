//! The named, timed steps of connecting, and how one fails.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

/// One named, timed step of connecting. The order is that of a session's life; key push and dial overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The workspace's row is looked up.
    Workspace,
    /// AWS credentials and region are found.
    Credentials,
    /// `DescribeInstances`.
    Instance,
    /// `DescribeInstanceConnectEndpoints`, and the choice among them.
    Endpoint,
    /// `SendSSHPublicKey`.
    KeyPush,
    /// TCP to the endpoint, or to the proxy.
    Tcp,
    /// CONNECT or SOCKS5 through the proxy.
    Proxy,
    /// TLS to the endpoint.
    Tls,
    /// The WebSocket upgrade at `/openTunnel`.
    Upgrade,
    /// The SSH server's identification: the first byte from the instance itself.
    Banner,
    /// SSH key exchange and the host key's check.
    KeyExchange,
    /// SSH public-key authentication with the pushed key.
    Authentication,
    /// The SSH channel.
    Channel,
    /// PTY, environment and command.
    Shell,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 14] = [
        Self::Workspace,
        Self::Credentials,
        Self::Instance,
        Self::Endpoint,
        Self::KeyPush,
        Self::Tcp,
        Self::Proxy,
        Self::Tls,
        Self::Upgrade,
        Self::Banner,
        Self::KeyExchange,
        Self::Authentication,
        Self::Channel,
        Self::Shell,
    ];

    /// The stage's stable name, as it stands in JSON, metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Credentials => "credentials",
            Self::Instance => "instance",
            Self::Endpoint => "endpoint",
            Self::KeyPush => "key-push",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Upgrade => "upgrade",
            Self::Banner => "banner",
            Self::KeyExchange => "key-exchange",
            Self::Authentication => "authentication",
            Self::Channel => "channel",
            Self::Shell => "shell",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What happened to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StageState {
    /// It began.
    Started,
    /// It is done, and took this long.
    Passed(Duration),
    /// It failed after this long; the error follows as the result of the whole.
    Failed(Duration),
}

/// News of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageEvent {
    /// Which one.
    pub stage: Stage,
    /// What happened to it.
    pub state: StageState,
}

impl StageEvent {
    /// News that `stage` is now in `state`.
    #[must_use]
    pub fn new(stage: Stage, state: StageState) -> Self {
        Self { stage, state }
    }
}

/// Is told of each stage as it happens. Called on the connecting task, so it must not block.
pub trait StageObserver: Send + Sync {
    /// News of a stage.
    fn on_stage(&self, event: StageEvent);
}

/// Ignores every stage.
impl StageObserver for () {
    fn on_stage(&self, _: StageEvent) {}
}

impl<F: Fn(StageEvent) + Send + Sync> StageObserver for F {
    fn on_stage(&self, event: StageEvent) {
        self(event);
    }
}

/// Runs one stage of work and tells `observer` of it. Dropped under way it says nothing more: it was abandoned,
/// it did not fail.
///
/// # Errors
/// Those of `work`.
pub async fn staged<T, E>(
    stage: Stage,
    observer: &dyn StageObserver,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    observer.on_stage(StageEvent::new(stage, StageState::Started));
    let began = Instant::now();
    let result = work.await;
    let took = began.elapsed();
    let state = if result.is_ok() { StageState::Passed(took) } else { StageState::Failed(took) };
    observer.on_stage(StageEvent::new(stage, state));
    result
}

/// At whose door a failure lies, which decides what a caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// What was asked for is malformed or contradicts itself.
    Usage,
    /// No credentials, or AWS does not accept them (a wrong clock included).
    Credentials,
    /// AWS understood who asks and says no.
    Denied,
    /// The instance, endpoint, workspace or container is not there.
    NotFound,
    /// It is there, but in a state that cannot be used: stopped, still being created.
    State,
    /// A quota or a rate is used up; later may work.
    Quota,
    /// A connection could not be made or broke.
    Network,
    /// The proxy refused.
    Proxy,
    /// The peer's certificate is not trusted or names another host.
    Tls,
    /// The peer said something that the protocol does not allow.
    Protocol,
    /// The host key is not the one that is pinned.
    HostKey,
    /// The instance does not accept the key.
    Authentication,
    /// The deadline of the stage passed.
    Timeout,
    /// The process that should run cannot be started at the far side.
    Remote,
    /// What this program is set up with cannot be used: a file that cannot be read or written, or is damaged.
    Configuration,
    /// A fault of this program.
    Internal,
}

impl Fault {
    /// The fault's stable name, as it stands in JSON, metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Credentials => "credentials",
            Self::Denied => "denied",
            Self::NotFound => "not-found",
            Self::State => "state",
            Self::Quota => "quota",
            Self::Network => "network",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::HostKey => "host-key",
            Self::Authentication => "authentication",
            Self::Timeout => "timeout",
            Self::Remote => "remote",
            Self::Configuration => "configuration",
            Self::Internal => "internal",
        }
    }
}

impl serde::Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A stage that failed.
///
/// `Display` prints one level, `stage: message`; the cause is in [`source`](Error::source), the way out in
/// [`hint`](Self::hint).
#[derive(Debug)]
pub struct StageError {
    stage: Stage,
    fault: Fault,
    message: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    request_id: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StageError {
    /// `stage` failed through `fault`: `message`, one sentence without a full stop and without the cause.
    #[must_use]
    pub fn new(stage: Stage, fault: Fault, message: impl Into<Cow<'static, str>>) -> Self {
        Self { stage, fault, message: message.into(), hint: None, request_id: None, source: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the AWS request id, the one thing AWS support asks for.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The stage that failed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// At whose door the failure lies.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// What went wrong, without the stage and the cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The AWS request id.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The message and its causes on one line, control bytes escaped: for a log or a terminal.
    ///
    /// Texts from the far side reach a person through here, so an escape sequence in one must not.
    #[must_use]
    pub fn chain(&self) -> String {
        let message = escape_control(&self.message);
        match self.source() {
            Some(source) => format!("{message}: {}", escape_control(&error_chain(source))),
            None => message,
        }
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, escape_control(&self.message))
    }
}

impl Error for StageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// `error` and its causes on one line, as they are.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// `text` with C0, DEL and C1 control characters escaped, so that it cannot drive a terminal or forge a line.
#[must_use]
pub fn escape_control(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_its_own_name_and_the_order_is_that_of_a_session() {
        let mut names: Vec<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Stage::ALL.len());
        assert!(Stage::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn display_prints_one_level_and_the_chain_prints_all_of_them_escaped() {
        let cause = std::io::Error::other("refused\u{1b}[31m");
        let error = StageError::new(Stage::Tcp, Fault::Network, "cannot reach the endpoint")
            .with_hint("check the route")
            .with_source(cause);
        assert_eq!(error.to_string(), "tcp: cannot reach the endpoint");
        assert_eq!(error.chain(), "cannot reach the endpoint: refused\\u{1b}[31m");
        assert_eq!(error.hint(), Some("check the route"));
        assert!(error.source().is_some());
    }
}
