//! The other ways to the same instance, and ours as a program: how each is called.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;

use super::place::Place;
use super::temp::TempFolder;
use super::{BenchArgs, pipes};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::docker::quote;
use crate::terminal::{AddressFamily, EndpointChoice, InstanceTarget, Size, Terminal, local};

/// Who is compared with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerArg {
    /// OpenSSH through `eice tunnel`
    Ssh,
    /// OpenSSH straight to the instance, where that can be reached
    Direct,
    /// aws-cli: its own ssh, and OpenSSH through its open-tunnel
    Aws,
}

/// How long a peer's version may take to be told.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it is tried to reach an instance without a tunnel.
const REACH_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest text of a version.
const MAX_VERSION: usize = 120;

/// A program that opens a shell on the instance.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// In words.
    pub(super) what: String,
    pub(super) version: Option<String>,
    pub(super) through_endpoint: bool,
    /// Whether the instance must know the key in the private folder.
    pub(super) needs_key: bool,
    program: PathBuf,
    /// For a shell on a PTY.
    shell: Vec<OsString>,
    /// For a command without a PTY, which comes last; `None` when the program takes none.
    command: Option<Vec<OsString>>,
    env: Vec<(OsString, OsString)>,
    /// Where its ProxyCommand complains: on the PTY that would be taken for the shell's first byte.
    complaints: Option<PathBuf>,
}

/// A peer that is not compared, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct LeftOut {
    pub(super) name: String,
    pub(super) reason: String,
}

impl LeftOut {
    /// `name` is not compared because of `reason`, which may hold what a program said.
    pub(super) fn new(name: &str, reason: &str) -> Self {
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { name: name.to_owned(), reason: crate::terminal::escape_control(&reason) }
    }
}

impl Peer {
    /// A shell on a PTY of this machine.
    pub(super) fn shell(&self) -> std::io::Result<Terminal> {
        let command = local::Command::new(&self.program).args(&self.shell).env(self.env.iter().cloned());
        local::spawn(command, Size::default())
    }

    /// `line` on pipes, where the program takes a command.
    pub(super) fn command(&self, line: &str) -> Option<std::io::Result<Terminal>> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(self.command.as_ref()?).arg(line).env_clear().envs(self.env.iter().cloned());
        Some(pipes::spawn(command))
    }

    /// The last that its ProxyCommand complained of.
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

/// What the peers of a run need in common.
pub(super) struct Setting<'a> {
    args: &'a BenchArgs,
    place: &'a Place,
    folder: &'a TempFolder,
    key: PathBuf,
    eice: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl<'a> Setting<'a> {
    /// # Errors
    /// When this program does not know where it is.
    pub(super) fn new(
        args: &'a BenchArgs,
        place: &'a Place,
        folder: &'a TempFolder,
        key: PathBuf,
    ) -> Result<Self, Failure> {
        let eice = std::env::current_exe().map_err(|error| {
            Failure::because(exit::INTERNAL, "the program's own file is not known", &error)
        })?;
        let mut env: Vec<_> = std::env::vars_os().collect();
        env.extend(place.env(folder.path()).into_iter().map(|(name, value)| (name.into(), value)));
        // A line of a log would be taken for the shell's first byte.
        env.extend([("TERM", "xterm-256color"), ("EICE_LOG", "off")].map(|(a, b)| (a.into(), b.into())));
        Ok(Self { args, place, folder, key, eice, env })
    }

    /// Ourselves and those of `wanted` that there are, and why the others are not.
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
        &self.place.target
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

    /// The options of our own verbs that lead to the target.
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
            None => self.place.direct().await.ok_or("it has no public address; --direct names one")?,
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

    async fn aws(&self) -> Result<Vec<Peer>, String> {
        if self.target().account.role_arn.is_some() {
            return Err("aws-cli has no option for a role; a profile that names one has".into());
        }
        let aws = match &self.args.aws {
            Some(path) if is_program(path) => path.clone(),
            Some(path) => return Err(format!("{} is no program", path.display())),
            None => find("aws").ok_or("aws is not installed; --aws names one")?,
        };
        let aws = std::path::absolute(aws).map_err(|error| error.to_string())?;
        let mut found = vec![self.aws_ssh(&aws)?];
        let mut proxy = vec![aws.clone().into_os_string()];
        proxy.extend(words(&["ec2-instance-connect", "open-tunnel"]));
        proxy.extend(self.aws_way(false));
        let what = "OpenSSH through `aws ec2-instance-connect open-tunnel`";
        found.push(self.openssh_through("aws-tunnel", what, &proxy)?);
        let version = version(&aws, "--version", &self.env).await;
        if version.as_ref().is_some_and(|version| version.starts_with("aws-cli/1.")) {
            return Err(format!(
                "{} is aws-cli 1, which opens no tunnels; it takes 2.12 or later",
                aws.display()
            ));
        }
        for peer in &mut found {
            peer.version.clone_from(&version);
        }
        Ok(found)
    }

    /// `aws ec2-instance-connect ssh`. It runs the first `ssh` of PATH and takes no options for it, so that the one
    /// it finds is ours: one that keeps host keys in the private folder, asks no question and says nothing.
    fn aws_ssh(&self, aws: &Path) -> Result<Peer, String> {
        let ssh = find("ssh").ok_or("ssh, which aws-cli runs, is not installed")?;
        let bin = self.folder.path().join("bin");
        let text = |error: std::io::Error| format!("its ssh cannot be prepared: {error}");
        std::fs::create_dir_all(&bin).map_err(text)?;
        for (name, program, options) in
            [("ssh", ssh.as_path(), self.host_key_options()), ("aws", aws, vec![])]
        {
            let mut line = quoted(program.as_os_str())?;
            for option in options {
                line.push_str(&format!(" -o {}", quoted(option.as_ref())?));
            }
            let script = format!("#!/bin/sh\nexec {line} \"$@\"\n");
            self.folder.write(&format!("bin/{name}"), &script, 0o700).map_err(text)?;
        }
        let mut path = OsString::from(&bin);
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        let mut env = self.env.clone();
        env.push(("PATH".into(), path));
        let target = self.target();
        let mut shell = words(&["ec2-instance-connect", "ssh", "--connection-type", "eice"]);
        shell.extend(words(&["--os-user", target.os_user.as_str(), "--ssh-port", &target.port.to_string()]));
        shell.extend(self.aws_way(true));
        Ok(Peer {
            name: "aws-ssh",
            what: "aws ec2-instance-connect ssh".into(),
            version: None,
            through_endpoint: true,
            needs_key: false,
            program: aws.to_owned(),
            shell,
            command: None,
            env,
            complaints: None,
        })
    }

    /// The options of aws-cli that lead to the target, of its `ssh` or of its `open-tunnel`.
    fn aws_way(&self, is_ssh: bool) -> Vec<OsString> {
        let target = self.target();
        let mut options = words(&["--instance-id", target.instance.as_str()]);
        let (id, dns_name) = match &target.endpoint {
            EndpointChoice::Automatic => (None, None),
            EndpointChoice::Id(id) => (Some(id.to_string()), None),
            EndpointChoice::Known { id, dns_name } => (Some(id.to_string()), Some(dns_name.clone())),
        };
        let duration = target.max_duration.map(|max| max.as_secs().to_string());
        let address = target.private_address.map(|address| address.to_string());
        if is_ssh {
            let pairs = [("endpointId", id), ("dnsName", dns_name), ("maxTunnelDuration", duration)];
            let pairs: Vec<_> =
                pairs.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
            if !pairs.is_empty() {
                options.extend(words(&["--eice-options", &pairs.join(",")]));
            }
            options.extend(address.map(|ip| words(&["--instance-ip", &ip])).into_iter().flatten());
        } else {
            options.extend(words(&["--remote-port", &target.port.to_string()]));
            for (name, value) in [
                ("--instance-connect-endpoint-id", id),
                ("--instance-connect-endpoint-dns-name", dns_name),
                ("--max-tunnel-duration", duration),
                ("--private-ip-address", address),
            ] {
                options.extend(value.map(|value| words(&[name, &value])).into_iter().flatten());
            }
        }
        options
    }

    /// OpenSSH with the program `proxy` as its ProxyCommand.
    fn openssh_through(&self, name: &'static str, what: &str, proxy: &[OsString]) -> Result<Peer, String> {
        let complaints = self.folder.path().join(format!("{name}.stderr"));
        let mut peer = self.openssh(name, what, &[proxy_command(proxy, &complaints)?])?;
        peer.complaints = Some(complaints);
        Ok(peer)
    }

    /// OpenSSH with the key of the private folder, and nothing of the user's own configuration.
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

    /// The instance's first host key is kept in the private folder, under the instance's id, by whatever way it was
    /// reached first; another one fails.
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

/// `ProxyCommand=…` for a shell to read, `%` doubled for ssh, which puts `exec` in front.
fn proxy_command(words: &[OsString], stderr: &Path) -> Result<String, String> {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect::<Result<_, _>>()?;
    let line = format!("{} 2>>{}", words.join(" "), quoted(stderr.as_os_str())?);
    Ok(format!("ProxyCommand={}", line.replace('%', "%%")))
}

fn quoted(word: &OsStr) -> Result<String, String> {
    let text = word.to_str().ok_or_else(|| format!("{} is no text", word.display()))?;
    quote(text).map_err(|error| error.to_string())
}

/// The program `name` of PATH.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

async fn resolve(text: &str) -> Result<SocketAddr, String> {
    let mut found = tokio::net::lookup_host(text).await.map_err(|error| format!("{text}: {error}"))?;
    found.next().ok_or_else(|| format!("{text} has no address"))
}

/// The first line that a program says of its version.
async fn version(program: &Path, flag: &str, env: &[(OsString, OsString)]) -> Option<String> {
    let mut command = tokio::process::Command::new(program);
    command.arg(flag).env_clear().envs(env.iter().cloned()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(VERSION_TIMEOUT, command.output()).await.ok()?.ok()?;
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let line = String::from_utf8_lossy(&said).lines().next()?.chars().take(MAX_VERSION).collect::<String>();
    Some(crate::terminal::escape_control(line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_command_survives_the_shell_and_ssh() {
        let command =
            proxy_command(&words(&["/opt/a b/eice", "tunnel", "100%", "i-1"]), Path::new("/tmp/x")).unwrap();
        assert_eq!(command, "ProxyCommand='/opt/a b/eice' tunnel '100%%' i-1 2>>/tmp/x");
    }

    #[tokio::test]
    async fn programs_are_found_and_say_their_version() {
        let sh = find("sh").unwrap();
        assert!(is_program(&sh) && !is_program(Path::new("/")) && !is_program(Path::new("/etc/passwd")));
        assert_eq!(find("no-such-program-as-this"), None);
        let env = [("PATH".into(), "/usr/bin:/bin".into())];
        let told = version(Path::new("/bin/sh"), "--nonsense", &env).await.unwrap();
        assert!(!told.is_empty() && !told.contains('\n'));
        assert_eq!(version(Path::new("/no/such"), "-V", &env).await, None);
    }

    #[test]
    fn an_address_may_be_a_name() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(resolve("127.0.0.1:22")).unwrap().port(), 22);
        assert!(runtime.block_on(resolve("nowhere")).is_err());
    }
}
