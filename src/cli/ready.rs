//! The line of JSON that a serving verb prints when it is ready.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// What a script needs to continue, as one line of JSON on stdout. Members that do not apply are left out.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Ready {
    /// The verb: `demo`, `emulator`, `serve`, `ssh` or `tunnel`.
    pub verb: String,
    /// The process id.
    pub pid: u32,
    /// The listening address: `http://127.0.0.1:PORT` without a path; for `tunnel`, `tcp://ADDR:PORT`; empty for `ssh`,
    /// which has `forwards`.
    pub url: String,
    /// `serve`: the address of the metrics, if separate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_url: Option<String>,
    /// `demo`: the bearer token; also the secret of the link's fragment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// `demo`: the link to open, token included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// `demo`: the id of the initial workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The first instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The addresses of the emulated services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_urls: Option<EndpointUrls>,
    /// `host:port` where `/openTunnel` is served over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<String>,
    /// The metadata service of the first instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_url: Option<String>,
    /// Credentials that the emulator accepts. They are valid nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The certificate authority of the tunnel's certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The environment that points an AWS client at the emulator.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// `ssh`: the forwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forwards: Vec<Forward>,
    /// `demo`: the kind of workspaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<ShellKind>,
    /// `demo`: why workspaces are not containers, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell_reason: Option<String>,
}

/// A forward of `ssh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Forward {
    /// The kind of forward.
    pub kind: ForwardKind,
    /// The listening address: local, or on the instance if remote. `HOST:PORT`, or a socket's path; never port 0.
    pub listen: String,
    /// The target: `HOST:PORT`, or a socket's path; absent if each client chooses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl Forward {
    /// Creates a forward from `listen` to `to`.
    #[must_use]
    pub fn new(kind: ForwardKind, listen: impl Into<String>, to: Option<String>) -> Self {
        Self { kind, listen: listen.into(), to }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option = match self.kind {
            ForwardKind::Local => "-L",
            ForwardKind::Remote => "-R",
            ForwardKind::Dynamic => "-D",
        };
        write!(f, "{option} {}", self.listen)?;
        self.to.as_ref().map_or(Ok(()), |to| write!(f, " to {to}"))
    }
}

/// The kind of a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ForwardKind {
    /// `-L`: from this machine to the instance's network.
    Local,
    /// `-R`: from the instance to this machine.
    Remote,
    /// `-D`: from this machine to the target of each SOCKS client.
    Dynamic,
}

/// The kind of the demo's workspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ShellKind {
    /// A container of the local engine.
    Container,
    /// A local shell instead of a container.
    Local,
}

/// The addresses of the emulated services. All are the same server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EndpointUrls {
    /// EC2.
    pub ec2: String,
    /// EC2 Instance Connect.
    pub ec2_instance_connect: String,
    /// STS.
    pub sts: String,
    /// CloudTrail.
    pub cloudtrail: String,
}

impl EndpointUrls {
    /// Creates addresses with every service at `url`.
    #[must_use]
    pub fn all_at(url: &str) -> Self {
        Self {
            ec2: url.to_owned(),
            ec2_instance_connect: url.to_owned(),
            sts: url.to_owned(),
            cloudtrail: url.to_owned(),
        }
    }
}

/// Credentials that the emulator accepts.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// The session token, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
}

impl Credentials {
    /// Creates credentials.
    #[must_use]
    pub fn new(access_key_id: &str, secret_access_key: &str, session_token: Option<&str>) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: session_token.map(str::to_owned),
        }
    }
}

impl Ready {
    /// Creates the line for `verb` of this process, listening at `url`.
    #[must_use]
    pub fn new(verb: &str, url: impl Into<String>) -> Self {
        Self { verb: verb.into(), pid: std::process::id(), url: url.into(), ..Self::default() }
    }

    /// Writes the line and flushes it.
    ///
    /// # Errors
    /// When `out` fails: the reader has closed it.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token, the link, the credentials and the environment are secrets.
        f.debug_struct("Ready")
            .field("verb", &self.verb)
            .field("url", &self.url)
            .field("workspace", &self.workspace)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Ready {
        Ready {
            token: Some("s3cret-token".into()),
            link: Some("http://127.0.0.1:1/#token=s3cret-token".into()),
            endpoint_urls: Some(EndpointUrls::all_at("http://127.0.0.1:2")),
            credentials: Some(Credentials {
                access_key_id: "AKIDEXAMPLE".into(),
                secret_access_key: "s3cret-key".into(),
                session_token: Some("s3cret-session".into()),
            }),
            env: BTreeMap::from([("AWS_SECRET_ACCESS_KEY".into(), "s3cret-key".into())]),
            shell: Some(ShellKind::Local),
            ..Ready::new("demo", "http://127.0.0.1:1")
        }
    }

    #[test]
    fn ready_line_round_trips() {
        let ready = full();
        let mut line = Vec::new();
        ready.write(&mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with('\n'));
        assert_eq!(serde_json::from_str::<Ready>(&line).unwrap(), ready);
        assert!(line.contains(r#""shell":"local""#));
        assert!(!line.contains("workspace"), "what does not apply is left out: {line}");
    }

    #[test]
    fn debug_form_has_no_secret() {
        let text = format!("{:?} {:?}", full(), full().credentials);
        assert!(!text.contains("s3cret"), "{text}");
    }
}
