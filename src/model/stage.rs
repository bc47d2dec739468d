//! The named, timed stages of connecting, and their errors.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// One named, timed stage of connecting, in the order of a session; key push and dial overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The lookup of the workspace's row.
    Workspace,
    /// The resolution of AWS credentials and region.
    Credentials,
    /// `DescribeInstances`.
    Instance,
    /// `DescribeInstanceConnectEndpoints` and the choice of one.
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
    /// SSH key exchange and the check of the host key.
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

    /// Returns the stable name, as used in JSON, metrics and logs.
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

/// The state of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StageState {
    /// The stage began.
    Started,
    /// The stage succeeded after this time.
    Passed(Duration),
    /// The stage failed after this time; the error is the result of the whole.
    Failed(Duration),
}

/// A change in the state of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageEvent {
    /// The stage.
    pub stage: Stage,
    /// Its new state.
    pub state: StageState,
}

impl StageEvent {
    /// Returns the event that `stage` is now in `state`.
    #[must_use]
    pub fn new(stage: Stage, state: StageState) -> Self {
        Self { stage, state }
    }
}

/// Receives each stage event. Called on the connecting task, so it must not block.
pub trait StageObserver: Send + Sync {
    /// Handles one event.
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

/// The kind of fault, which decides what a caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The request is malformed or contradicts itself.
    Usage,
    /// No credentials, or AWS rejects them (possibly because of a wrong clock).
    Credentials,
    /// AWS authenticated the caller and denied the call.
    Denied,
    /// The instance, endpoint, workspace or container does not exist.
    NotFound,
    /// It exists, but in an unusable state: stopped, still being created.
    State,
    /// A quota or a rate limit is exceeded; a retry may succeed.
    Quota,
    /// A connection could not be made or broke.
    Network,
    /// The proxy refused.
    Proxy,
    /// The peer's certificate is not trusted or names another host.
    Tls,
    /// The peer violated the protocol.
    Protocol,
    /// The host key differs from the pinned one.
    HostKey,
    /// The instance does not accept the key.
    Authentication,
    /// The deadline of the stage passed.
    Timeout,
    /// The remote could not start the process.
    Remote,
    /// This program's configuration is unusable: a file is unreadable, unwritable or damaged.
    Configuration,
    /// A bug in this program.
    Internal,
}

impl Fault {
    /// Returns the stable name, as used in JSON, metrics and logs.
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

/// A failed stage.
///
/// `Display` prints one level, `stage: message`; the cause is in [`source`](Error::source), what to do about it
/// in [`hint`](Self::hint).
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
    /// Returns an error of `stage`; `message` is one sentence without a full stop and without the cause.
    #[must_use]
    pub fn new(stage: Stage, fault: Fault, message: impl Into<Cow<'static, str>>) -> Self {
        Self { stage, fault, message: message.into(), hint: None, request_id: None, source: None }
    }

    /// Sets the hint: what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the AWS request id, which AWS support asks for.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id;
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the stage that failed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns the kind of fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Returns what went wrong, without the stage and the cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the AWS request id.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Returns the message and its causes on one line, with control characters escaped, for a log or a
    /// terminal.
    ///
    /// Texts from the remote are shown to users through this function, so escape sequences in them must not
    /// pass.
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

/// Returns `error` and its causes on one line, unescaped.
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

/// Escapes C0, DEL and C1 control characters, so that `text` cannot control a terminal or forge a line.
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
    fn stage_names_are_unique_and_ordered() {
        let mut names: Vec<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Stage::ALL.len());
        assert!(Stage::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn display_is_one_level_chain_is_all() {
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
