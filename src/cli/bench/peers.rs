//! The compared programs: how each one connects to the instance.

mod aws;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use super::programs::{find, version};
use super::temp::TempFolder;
use super::testbed::Testbed;
use super::{BenchArgs, pipes};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::docker::quote;
use crate::model::{AddressFamily, EndpointChoice, InstanceTarget, Size, Terminal, local};

/// The programs that `--compare` accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerArg {
    /// OpenSSH through `eice tunnel`
    Ssh,
    /// OpenSSH straight to the instance, where that can be reached
    Direct,
    /// aws-cli: its own ssh, and OpenSSH through its open-tunnel
    Aws,
}

/// How long connecting to an instance without a tunnel may take.
const REACH_TIMEOUT: Duration = Duration::from_secs(3);

/// A program that opens a shell on the instance.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// Description for the report.
    pub(super) what: String,
    pub(super) version: Option<String>,
    pub(super) through_endpoint: bool,
    /// Whether the instance must know the key in the private folder.
    pub(super) needs_key: bool,
    program: PathBuf,
    /// Arguments for a shell on a PTY.
    shell: Vec<OsString>,
    /// Arguments for a command without a PTY, appended last; `None` when the program cannot run one.
    command: Option<Vec<OsString>>,
    env: Vec<(OsString, OsString)>,
    /// The file for the stderr of its ProxyCommand: on the PTY it would be mistaken for the shell's first byte.
    complaints: Option<PathBuf>,
}

/// A peer that is not compared, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct LeftOut {
    pub(super) name: String,
    pub(super) reason: String,
}

impl LeftOut {
    /// Creates the entry; `reason` may contain a program's output.
    pub(super) fn new(name: &str, reason: &str) -> Self {
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { name: name.to_owned(), reason: crate::model::escape_control(&reason) }
    }
}

impl Peer {
    /// Starts a shell on a local PTY.
    pub(super) fn shell(&self) -> std::io::Result<Terminal> {
        let command = local::Command::new(&self.program).args(&self.shell).env(self.env.iter().cloned());
        local::spawn(command, Size::default())
    }

    /// Runs `line` on pipes, if the program can run a command.
    pub(super) fn command(&self, line: &str) -> Option<std::io::Result<Terminal>> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(self.command.as_ref()?).arg(line).env_clear().envs(self.env.iter().cloned());
        Some(pipes::spawn(command))
    }

    /// Returns the last error line of its ProxyCommand.
    pub(super) fn complaint(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.complaints.as_ref()?).ok()?;
        Some(text.lines().rfind(|line| !line.trim().is_empty())?.to_owned())
    }

    pub(super) fn takes_commands(&self) -> bool {
        self.command.is_some()
    }

    async fn with_version(mut self, program: &Path, flag: &str) -> Self {
        self.version = version(program, flag, &self.env).await;
        self
    }
}

/// What the peers of a run share.
pub(super) struct Setting<'a> {
    args: &'a BenchArgs,
    testbed: &'a Testbed,
    folder: &'a TempFolder,
    key: PathBuf,
    eice: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl<'a> Setting<'a> {
    /// # Errors
    /// When the path of this program is unknown.
    pub(super) fn new(
        args: &'a BenchArgs,
        testbed: &'a Testbed,
        folder: &'a TempFolder,
        key: PathBuf,
    ) -> Result<Self, Failure> {
        let eice = std::env::current_exe().map_err(|error| {
            Failure::because(exit::INTERNAL, "the program's own file is not known", &error)
        })?;
        let mut env: Vec<_> = std::env::vars_os().collect();
        env.extend(testbed.env(folder.path()).into_iter().map(|(name, value)| (name.into(), value)));
        // A log line would be mistaken for the shell's first byte.
        env.extend([("TERM", "xterm-256color"), ("EICE_LOG", "off")].map(|(a, b)| (a.into(), b.into())));
        Ok(Self { args, testbed, folder, key, eice, env })
    }

    /// Returns `eice` and the available peers of `wanted`, and the reasons why the others are missing.
    pub(super) async fn peers(&self, wanted: &[PeerArg]) -> (Vec<Peer>, Vec<LeftOut>) {
        let (mut peers, mut left_out) = (vec![self.ours()], Vec::new());
        let mut add = |name: &str, found: Result<Vec<Peer>, String>| match found {
            Ok(found) => peers.extend(found),
            Err(reason) => left_out.push(LeftOut::new(name, &reason)),
        };
        if wanted.contains(&PeerArg::Ssh) {
            add("ssh", self.ssh().await);
        }
        if wanted.contains(&PeerArg::Direct) {
            add("direct", self.direct().await);
        }
        if wanted.contains(&PeerArg::Aws) {
            add("aws", self.aws().await);
        }
        (peers, left_out)
    }

    fn target(&self) -> &InstanceTarget {
        &self.testbed.target
    }

    fn ours(&self) -> Peer {
        let target = self.target();
        let mut shell = words(&["ssh", "-q", "-l", target.os_user.as_str(), "--host-key"]);
        shell.push(value_name(self.args.client.host_key));
        if let Some(file) = &self.args.client.host_keys {
            shell.extend(["--host-keys".into(), file.into()]);
        }
        shell.extend(self.way());
        shell.push(target.instance.as_str().into());
        let command = Some(shell.iter().cloned().chain(["--".into()]).collect());
        Peer {
            name: "eice",
            what: "eice ssh, a process each time".into(),
            version: Some(env!("CARGO_PKG_VERSION").into()),
            through_endpoint: true,
            needs_key: false,
            program: self.eice.clone(),
            shell,
            command,
            env: self.env.clone(),
            complaints: None,
        }
    }

    /// Returns the options of the program's verbs for the target.
    fn way(&self) -> Vec<OsString> {
        let target = self.target();
        let mut options = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            options.extend(value.map(|value| [name.into(), value.into()]).into_iter().flatten());
        };
        option("--role-arn", target.account.role_arn.clone());
        option("--external-id", target.account.external_id.clone());
        match &target.endpoint {
            EndpointChoice::Automatic => {}
            EndpointChoice::Id(id) => option("--endpoint-id", Some(id.to_string())),
            EndpointChoice::Known { id, dns_name } => {
                option("--endpoint-id", Some(id.to_string()));
                option("--endpoint-dns-name", Some(dns_name.clone()));
            }
        }
        option("--private-ip-address", target.private_address.map(|address| address.to_string()));
        let family = match target.address_family {
            AddressFamily::Any => None,
            AddressFamily::Ipv4 => Some("ipv4".to_owned()),
            AddressFamily::Ipv6 => Some("ipv6".to_owned()),
        };
        option("--address-family", family);
        option("--port", Some(target.port.to_string()));
        option("--max-tunnel-duration", target.max_duration.map(|max| max.as_secs().to_string()));
        options
    }

    async fn ssh(&self) -> Result<Vec<Peer>, String> {
        let mut proxy = vec![self.eice.clone().into_os_string(), "tunnel".into()];
        proxy.extend(self.way());
        proxy.push(self.target().instance.as_str().into());
        let peer = self.openssh_through("ssh", "OpenSSH through `eice tunnel`", &proxy)?;
        Ok(vec![peer.version_of_ssh().await])
    }

    async fn direct(&self) -> Result<Vec<Peer>, String> {
        let address = match &self.args.direct {
            Some(text) => resolve(text).await?,
            None => self.testbed.direct().await.ok_or("it has no public address; --direct names one")?,
        };
        match tokio::time::timeout(REACH_TIMEOUT, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(format!("{address} cannot be reached: {error}")),
            Err(_) => return Err(format!("{address} does not answer within {} s", REACH_TIMEOUT.as_secs())),
        }
        let options = [format!("HostName={}", address.ip()), format!("Port={}", address.port())];
        let mut peer = self.openssh("direct", "OpenSSH straight to the instance", &options)?;
        peer.through_endpoint = false;
        Ok(vec![peer.version_of_ssh().await])
    }

    /// Returns OpenSSH with `proxy` as its ProxyCommand.
    fn openssh_through(&self, name: &'static str, what: &str, proxy: &[OsString]) -> Result<Peer, String> {
        let complaints = self.folder.path().join(format!("{name}.stderr"));
        let mut peer = self.openssh(name, what, &[proxy_command(proxy, &complaints)?])?;
        peer.complaints = Some(complaints);
        Ok(peer)
    }

    /// Returns OpenSSH with the key of the private folder, without the user's configuration.
    fn openssh(&self, name: &'static str, what: &str, options: &[String]) -> Result<Peer, String> {
        let program = find("ssh").ok_or("ssh is not installed")?;
        let target = self.target();
        let mut common = words(&["-F", "none", "-i"]);
        common.push(self.key.clone().into());
        for option in self.host_key_options().iter().chain(options) {
            common.extend(words(&["-o", option]));
        }
        for option in ["IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes"] {
            common.extend(words(&["-o", option]));
        }
        common.extend(words(&["-l", target.os_user.as_str()]));
        let with = |flag: &str| {
            let mut args = common.clone();
            args.extend(words(&[flag, target.instance.as_str()]));
            args
        };
        Ok(Peer {
            name,
            what: what.to_owned(),
            version: None,
            through_endpoint: true,
            needs_key: true,
            program,
            shell: with("-t"),
            command: Some(with("-T")),
            env: self.env.clone(),
            complaints: None,
        })
    }

    /// Returns the options that keep the instance's first host key in the private folder, under the instance id;
    /// another key fails.
    fn host_key_options(&self) -> Vec<String> {
        vec![
            "LogLevel=ERROR".to_owned(),
            "StrictHostKeyChecking=accept-new".to_owned(),
            format!("UserKnownHostsFile={}", self.folder.path().join("known_hosts").display()),
            "GlobalKnownHostsFile=none".to_owned(),
            format!("HostKeyAlias={}", self.target().instance),
        ]
    }
}

impl Peer {
    async fn version_of_ssh(self) -> Self {
        let program = self.program.clone();
        self.with_version(&program, "-V").await
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn value_name(arg: impl ValueEnum) -> OsString {
    arg.to_possible_value().map(|value| value.get_name().into()).unwrap_or_default()
}

/// Returns `ProxyCommand=…`, quoted for the shell, with `%` doubled for ssh, which prepends `exec`.
fn proxy_command(words: &[OsString], stderr: &Path) -> Result<String, String> {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect::<Result<_, _>>()?;
    let line = format!("{} 2>>{}", words.join(" "), quoted(stderr.as_os_str())?);
    Ok(format!("ProxyCommand={}", line.replace('%', "%%")))
}

fn quoted(word: &OsStr) -> Result<String, String> {
    let text = word.to_str().ok_or_else(|| format!("{} is no text", word.display()))?;
    quote(text).map_err(|error| error.to_string())
}

async fn resolve(text: &str) -> Result<SocketAddr, String> {
    let mut found = tokio::net::lookup_host(text).await.map_err(|error| format!("{text}: {error}"))?;
    found.next().ok_or_else(|| format!("{text} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_command_is_quoted() {
        let command =
            proxy_command(&words(&["/opt/a b/eice", "tunnel", "100%", "i-1"]), Path::new("/tmp/x")).unwrap();
        assert_eq!(command, "ProxyCommand='/opt/a b/eice' tunnel '100%%' i-1 2>>/tmp/x");
    }

    #[test]
    fn address_may_be_a_name() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(resolve("127.0.0.1:22")).unwrap().port(), 22);
        assert!(runtime.block_on(resolve("nowhere")).is_err());
    }
}
