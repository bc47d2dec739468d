//! The emulator and a client of it, in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use eice::connect::{self, Connector};
use eice::emulator::{Backend, Emulator, EmulatorConfig, InstanceSpec};
use eice::model::{Connect, Host, InstanceTarget, Shell, StageError, StageEvent, Target, TerminalRequest};
use eice::ssh::HostKeySource;
use eice::ssh::host_keys::MemoryHostKeys;
use eice::{aws, tunnel};
use eice_proto::InstanceId;

use super::{LeakCheck, Sshd, TerminalClient};

/// The instance of the emulator's default configuration.
pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";

/// An emulated AWS account with one instance, and a client of it.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) connector: Arc<Connector>,
    /// The address of the instance's sshd, when it is a real one.
    sshd: Option<SocketAddr>,
    os_user: String,
}

impl World {
    /// Starts an account whose instance runs the emulator's built-in SSH server.
    pub(crate) async fn builtin() -> Self {
        Self::with(EmulatorConfig::default()).await
    }

    /// Starts an account whose instance is a real sshd.
    pub(crate) async fn of(sshd: &Sshd) -> Self {
        Self::of_at(sshd, EmulatorConfig::default().tunnel_host).await
    }

    /// The same with `tunnel_host` as the host name of the endpoints.
    pub(crate) async fn of_at(sshd: &Sshd, tunnel_host: String) -> Self {
        let backend = Backend::Forward(sshd.addr);
        let instances = vec![InstanceSpec { backend, ..InstanceSpec::default() }];
        let mut world =
            Self::with(EmulatorConfig { instances, tunnel_host, ..EmulatorConfig::default() }).await;
        world.sshd = Some(sshd.addr);
        world.os_user.clone_from(&sshd.user.name);
        sshd.set_metadata_url(&world.emulator.access().metadata_url(&world.instance()));
        world
    }

    /// Starts an account with this configuration.
    pub(crate) async fn with(config: EmulatorConfig) -> Self {
        install_crypto();
        let emulator = Emulator::start(config).await.unwrap();
        let connector = Arc::new(connector(&emulator, Arc::new(MemoryHostKeys::default()), |_, _, _| {}));
        Self { emulator, connector, sshd: None, os_user: "ec2-user".into() }
    }

    /// Returns another client of the same account, configured by `tune`.
    pub(crate) fn client(
        &self,
        tune: impl FnOnce(&mut aws::AwsConfig, &mut tunnel::Config, &mut connect::ConnectConfig),
    ) -> Connector {
        connector(&self.emulator, Arc::new(MemoryHostKeys::default()), tune)
    }

    /// The same with host keys pinned in `keys`.
    pub(crate) fn client_with(
        &self,
        keys: Arc<dyn HostKeySource>,
        tune: impl FnOnce(&mut aws::AwsConfig, &mut tunnel::Config, &mut connect::ConnectConfig),
    ) -> Connector {
        connector(&self.emulator, keys, tune)
    }

    /// Returns the AWS client alone.
    pub(crate) fn aws(&self) -> aws::Aws {
        aws::Aws::new(aws_config(&self.emulator))
    }

    pub(crate) fn instance(&self) -> InstanceId {
        INSTANCE.parse().unwrap()
    }

    /// Denies `action` to the client.
    pub(crate) fn deny(&self, action: &str) {
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "NotAction": action, "Resource": "*"},
        ]});
        let key = self.emulator.access().access_key_id().to_owned();
        assert!(self.emulator.set_policies(&key, vec![serde_json::from_value(policy).unwrap()]));
    }

    /// Returns the instance as a target, with its user.
    pub(crate) fn target(&self) -> InstanceTarget {
        let mut target = InstanceTarget::new(self.instance());
        target.os_user = self.os_user.parse().unwrap();
        target
    }

    /// Opens a connection to `target` and asserts that it succeeds.
    pub(crate) async fn host(&self, target: &InstanceTarget) -> Box<dyn Host> {
        self.try_host(target).await.unwrap_or_else(|error| panic!("{error}: {}", error.chain()))
    }

    pub(crate) async fn try_host(&self, target: &InstanceTarget) -> Result<Box<dyn Host>, StageError> {
        self.connector.connect(&Target::from(target.clone()), &|_: StageEvent| {}).await
    }

    /// Starts `command` on the instance without a PTY.
    pub(crate) async fn command(&self, command: &str) -> (Box<dyn Host>, TerminalClient) {
        let mut target = self.target();
        target.shell = Shell::Command(command.to_owned());
        let host = self.host(&target).await;
        let terminal = open_terminal(&*host, &TerminalRequest::without_pty()).await;
        (host, terminal)
    }

    /// Counts tasks and connections while idle, after a first connection has filled caches and pools.
    pub(crate) async fn leak_check(&self) -> LeakCheck {
        let host = self.host(&self.target()).await;
        host.close().await;
        drop(host);
        self.settled().await
    }

    /// Counts tasks and connections once only pooled connections are left: no socket to the tunnel or to sshd.
    pub(crate) async fn settled(&self) -> LeakCheck {
        let mut of = vec![self.emulator.access().tunnel_addr()];
        of.extend(self.sshd);
        of.extend(self.emulator.ssh_addr(&self.instance()));
        LeakCheck::settled(&of, self.emulator.access().api_addr()).await
    }
}

/// Opens a terminal on `host`.
pub(crate) async fn open_terminal(host: &dyn Host, request: &TerminalRequest) -> TerminalClient {
    let opened = host.open_terminal(request, &|_: StageEvent| {}).await;
    TerminalClient::new(opened.unwrap_or_else(|error| panic!("{error}: {}", error.chain())))
}

/// Installs the process's TLS provider, as `main` does.
pub(crate) fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

fn connector(
    emulator: &Emulator,
    keys: Arc<dyn HostKeySource>,
    tune: impl FnOnce(&mut aws::AwsConfig, &mut tunnel::Config, &mut connect::ConnectConfig),
) -> Connector {
    let mut aws = aws_config(emulator);
    let mut dial = tunnel::Config::default();
    dial.ca_bundle = Some(emulator.access().ca_file().to_owned());
    let mut connect = connect::ConnectConfig::default();
    tune(&mut aws, &mut dial, &mut connect);
    let dialer = tunnel::Dialer::new(dial).unwrap();
    Connector::new(aws::Aws::new(aws), dialer, keys, connect)
}

fn aws_config(emulator: &Emulator) -> aws::AwsConfig {
    let access = emulator.access();
    let mut aws = aws::AwsConfig::default();
    aws.endpoint_url = Some(access.api_url());
    aws.region = Some(access.region().to_owned());
    aws.credentials = Some(eice_proto::Credentials::new(
        access.access_key_id(),
        access.secret_access_key(),
        access.session_token().map(str::to_owned),
    ));
    aws
}
