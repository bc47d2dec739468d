//! A user with an `aws` on the path and an endpoint at its real name, which aws-cli and the shim can both use.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use eice::emulator::{Backend, EmulatorConfig, EndpointSpec, EndpointState, InstanceSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::lab::{EICE, INSTANCE, Proxy, ProxyLog, Sshd, World, keygen, run_to_end, text};

/// The endpoint's name. aws-cli's tunnels connect only to its port 443.
pub(super) const ENDPOINT: &str =
    "eice-0123456789abcdef0.4c1b2f3a.ec2-instance-connect-endpoint.eu-west-1.amazonaws.com";

/// How long an answer may take.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// A user, an emulated account, and a proxy that resolves every name to its endpoint.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) world: Arc<World>,
    pub(super) home: Arc<tempfile::TempDir>,
    pub(super) proxy: Arc<Proxy>,
    /// The `aws` to run.
    aws: Aws,
}

/// Which `aws` to run.
#[derive(Clone, Debug)]
pub(super) enum Aws {
    /// The program under test, by a symbolic link.
    Ours,
    /// The aws-cli at this path.
    Real(PathBuf),
}

impl Scene {
    pub(super) async fn start() -> Self {
        Self::of("default", Aws::Ours).await
    }

    /// Starts one of the worlds of the transcripts.
    pub(super) async fn of(world: &str, aws: Aws) -> Self {
        Self::with(config(world), aws).await
    }

    /// Starts a world with a real sshd as the instance.
    pub(super) async fn of_sshd(sshd: &Sshd) -> Self {
        let backend = Backend::Forward(sshd.addr);
        let instances = vec![InstanceSpec { backend, ..InstanceSpec::default() }];
        let scene = Self::with(EmulatorConfig { instances, ..EmulatorConfig::default() }, Aws::Ours).await;
        let world = &scene.world;
        sshd.set_metadata_url(&world.emulator.access().metadata_url(&world.instance()));
        scene
    }

    pub(super) async fn with(mut config: EmulatorConfig, aws: Aws) -> Self {
        for endpoint in &mut config.endpoints {
            endpoint.dns_name = Some(ENDPOINT.to_owned());
        }
        let world = World::with(config).await;
        let home = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(EICE, home.path().join("aws")).unwrap();
        let key = home.path().join("key");
        keygen("ed25519", "", "", &key);
        let endpoint = world.emulator.access().tunnel_addr();
        let proxy = Proxy::start(move |stream, log| carry(stream, log, endpoint)).await;
        Self { world: Arc::new(world), home: Arc::new(home), proxy: Arc::new(proxy), aws }
    }

    /// Returns the same scene with another `aws`.
    pub(super) fn by(&self, aws: Aws) -> Self {
        Self { aws, ..self.clone() }
    }

    /// Returns a public key in the format of the API.
    pub(super) fn public_key(&self) -> String {
        std::fs::read_to_string(self.home.path().join("key.pub")).unwrap().trim().to_owned()
    }

    /// Returns the environment: the emulator's, and the proxy.
    pub(super) fn env(&self) -> Vec<(String, String)> {
        let env = self.world.emulator.access().env();
        let mut env: Vec<_> = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        env.push(("HTTPS_PROXY".into(), format!("http://{}", self.proxy.addr)));
        env.push(("NO_PROXY".into(), "127.0.0.1".into()));
        env.push(("HOME".into(), self.home.path().to_str().unwrap().to_owned()));
        let path = std::env::var("PATH").unwrap_or_default();
        env.push(("PATH".into(), format!("{}:{path}", self.home.path().display())));
        env
    }

    /// Returns a command for `aws` with this environment only.
    pub(super) fn aws(&self, args: &[&str]) -> Command {
        let mut command = match &self.aws {
            Aws::Ours => Command::new(self.home.path().join("aws")),
            Aws::Real(path) => self.aws_cli(path),
        };
        command.args(args).env_clear().envs(self.env()).current_dir(self.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Returns a command for aws-cli. Its tunnel trusts only the system's roots and its ssh prompts for the host key,
    /// so it runs in a mount namespace in which both see the test's files.
    fn aws_cli(&self, path: &Path) -> Command {
        let ssh_config = self.home.path().join("ssh_config");
        std::fs::write(
            &ssh_config,
            "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n",
        )
        .unwrap();
        let script = "mount --bind \"$1\" /etc/ssl/certs/ca-certificates.crt && \
                      mount --bind \"$2\" /etc/ssh/ssh_config && shift 2 && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]);
        command.arg(self.world.emulator.access().ca_file()).arg(ssh_config).arg(path);
        command
    }

    /// Runs `aws ARGS` with `stdin` to its end.
    pub(super) async fn run(&self, args: &[&str], stdin: &[u8]) -> ShimOutput {
        finish(self.aws(args), stdin).await
    }
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShimOutput {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs `command` with `stdin` to its end.
#[track_caller]
pub(super) fn finish(command: Command, stdin: &[u8]) -> impl Future<Output = ShimOutput> {
    let output = run_to_end(command, stdin);
    async move {
        let output = output.await;
        ShimOutput { code: output.code.unwrap_or(-1), stdout: text(&output.stdout), stderr: output.stderr }
    }
}

/// Returns the emulator's configuration for a transcript's `world`.
fn config(world: &str) -> EmulatorConfig {
    let mut config = EmulatorConfig::default();
    let only_instance = |spec: InstanceSpec| vec![spec];
    match world {
        "default" => {}
        "no-endpoint" => config.endpoints.clear(),
        "creating" => config.endpoints[0].state = EndpointState::CreateInProgress,
        "throttled" => config.faults.api_throttled = u32::MAX,
        "failing" => config.faults.api_errors = u32::MAX,
        "updated" => config.endpoints[0].state = EndpointState::UpdateComplete,
        "closed" => {
            config.instances =
                only_instance(InstanceSpec { backend: Backend::Closed, ..InstanceSpec::default() });
        }
        "ipv6-only" => {
            let spec = InstanceSpec {
                private_ip: None,
                ipv6: Some("2600:1f10::17".parse().unwrap()),
                ..InstanceSpec::default()
            };
            config.instances = only_instance(spec);
            config.endpoints = vec![EndpointSpec {
                address_type: eice::emulator::AddressType::Dualstack,
                ..EndpointSpec::default()
            }];
        }
        "no-keys" => {
            let policy = r#"{"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": "ec2-instance-connect:SendSSHPublicKey", "Resource": "*"}]}"#;
            config.principals[0].policies = vec![policy.parse().unwrap()];
        }
        "no-tunnels" => {
            let policy = r#"{"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": "ec2-instance-connect:OpenTunnel", "Resource": "*"}]}"#;
            config.principals[0].policies = vec![policy.parse().unwrap()];
        }
        other => panic!("there is no world {other:?}"),
    }
    config
}

/// Returns the instance of every world.
pub(super) const fn instance() -> &'static str {
    INSTANCE
}

/// An HTTP proxy that connects every name to one address.
async fn carry(mut stream: TcpStream, log: ProxyLog, to: SocketAddr) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    log.record(head.split(' ').nth(1).unwrap_or_default());
    let mut onward = TcpStream::connect(to).await?;
    for stream in [&stream, &onward] {
        stream.set_nodelay(true)?;
    }
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut stream, &mut onward).await.map(drop)
}
