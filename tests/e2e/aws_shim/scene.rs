//! A user with an `aws` on the path and an endpoint at its real name: what both aws-cli and ours can use unchanged.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use eice::emulator::{Backend, EmulatorConfig, EndpointSpec, EndpointState, InstanceSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::lab::{Asked, EICE, INSTANCE, Proxy, Sshd, World, keygen};

/// The endpoint's name. aws-cli's tunnels go to port 443 of it and nowhere else.
pub(super) const ENDPOINT: &str =
    "eice-0123456789abcdef0.4c1b2f3a.ec2-instance-connect-endpoint.eu-west-1.amazonaws.com";

/// How long a program may take to its end.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// A user, an emulated account and a proxy that leads every name to its endpoint.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) world: Arc<World>,
    pub(super) home: Arc<tempfile::TempDir>,
    pub(super) proxy: Arc<Proxy>,
    /// The `aws` that is run.
    aws: Aws,
}

/// Whose `aws`.
#[derive(Clone, Debug)]
pub(super) enum Aws {
    /// Ours: a symbolic link.
    Ours,
    /// aws-cli at this path.
    Real(PathBuf),
}

impl Scene {
    pub(super) async fn start() -> Self {
        Self::of("default", Aws::Ours).await
    }

    /// One of the worlds of the transcripts.
    pub(super) async fn of(world: &str, aws: Aws) -> Self {
        Self::with(config(world), aws).await
    }

    /// With a real sshd as the instance.
    pub(super) async fn of_sshd(sshd: &Sshd) -> Self {
        let backend = Backend::Forward(sshd.addr);
        let instances = vec![InstanceSpec { backend, ..InstanceSpec::default() }];
        let scene = Self::with(EmulatorConfig { instances, ..EmulatorConfig::default() }, Aws::Ours).await;
        let world = &scene.world;
        sshd.takes_keys_from(&world.emulator.access().metadata_url(&world.instance()));
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
        let proxy = Proxy::start(move |stream, asked| carry(stream, asked, endpoint)).await;
        Self { world: Arc::new(world), home: Arc::new(home), proxy: Arc::new(proxy), aws }
    }

    /// The same for another `aws`.
    pub(super) fn by(&self, aws: Aws) -> Self {
        Self { aws, ..self.clone() }
    }

    /// A public key as the API takes it.
    pub(super) fn public_key(&self) -> String {
        std::fs::read_to_string(self.home.path().join("key.pub")).unwrap().trim().to_owned()
    }

    /// The environment: the emulator's, and the proxy.
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

    /// `aws` with this environment and nothing else of this process's.
    pub(super) fn aws(&self, args: &[&str]) -> Command {
        let mut command = match &self.aws {
            Aws::Ours => Command::new(self.home.path().join("aws")),
            Aws::Real(path) => self.aws_cli(path),
        };
        command.args(args).env_clear().envs(self.env()).current_dir(self.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// aws-cli, whose tunnel trusts the system's roots alone and whose ssh asks a person for the host key: in a mount
    /// namespace of its own both see files of ours.
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

    /// Runs `aws ARGS` to its end with `stdin`.
    pub(super) async fn run(&self, args: &[&str], stdin: &[u8]) -> Said {
        finish(self.aws(args), stdin).await
    }
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs `command` to its end with `stdin`.
#[track_caller]
pub(super) fn finish(mut command: Command, stdin: &[u8]) -> impl Future<Output = Said> {
    let caller = std::panic::Location::caller();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let stdin = stdin.to_vec();
    async move {
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let feeding = tokio::spawn(async move {
            // It may have ended without reading all.
            let _ = pipe.write_all(&stdin).await;
        });
        let output = tokio::time::timeout(LONG, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{caller}: no end within {LONG:?}")).unwrap();
        feeding.await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// The worlds that transcripts are about.
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

/// The instance of every world.
pub(super) const fn instance() -> &'static str {
    INSTANCE
}

/// An HTTP proxy that takes every name to one address.
async fn carry(mut stream: TcpStream, asked: Asked, to: SocketAddr) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    asked.note(head.split(' ').nth(1).unwrap_or_default());
    let mut onward = TcpStream::connect(to).await?;
    for stream in [&stream, &onward] {
        stream.set_nodelay(true)?;
    }
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut stream, &mut onward).await.map(drop)
}
