//! The emulator and the client stack that is pointed at it, in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use eice::connect::{self, Connector};
use eice::emulator::{Backend, Emulator, EmulatorConfig, InstanceSpec};
use eice::model::{Connect, Host, InstanceTarget, Shell, StageError, StageEvent, Target, TerminalRequest};
use eice::ssh::HostKeySource;
use eice::ssh::host_keys::MemoryHostKeys;
use eice::{aws, tunnel};
use eice_proto::InstanceId;

use super::{Census, Console, Sshd};

/// The instance of the emulator's default world.
pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";

/// An emulated AWS account with one instance, and a client of it.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) connector: Arc<Connector>,
    /// Where the instance's own sshd listens, when it is a real one.
    sshd: Option<SocketAddr>,
    os_user: String,
}

impl World {
    /// With the emulator's own SSH server.
    pub(crate) async fn builtin() -> Self {
        Self::with(EmulatorConfig::default()).await
    }

    /// With a real sshd as the instance.
    pub(crate) async fn of(sshd: &Sshd) -> Self {
        Self::of_at(sshd, EmulatorConfig::default().tunnel_host).await
    }

    /// The same with the endpoints under the name `tunnel_host`.
    pub(crate) async fn of_at(sshd: &Sshd, tunnel_host: String) -> Self {
        let backend = Backend::Forward(sshd.addr);
        let instances = vec![InstanceSpec { backend, ..InstanceSpec::default() }];
        let mut world =
            Self::with(EmulatorConfig { instances, tunnel_host, ..EmulatorConfig::default() }).await;
        world.sshd = Some(sshd.addr);
        world.os_user.clone_from(&sshd.user.name);
        sshd.takes_keys_from(&world.emulator.access().metadata_url(&world.instance()));
        world
    }

    /// With any configuration.
    pub(crate) async fn with(config: EmulatorConfig) -> Self {
        install_crypto();
        let emulator = Emulator::start(config).await.unwrap();
        let connector = Arc::new(connector(&emulator, Arc::new(MemoryHostKeys::default()), |_, _, _| {}));
        Self { emulator, connector, sshd: None, os_user: "ec2-user".into() }
    }

    /// Another client of the same account, tuned.
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

    /// The AWS client alone.
    pub(crate) fn aws(&self) -> aws::Aws {
        aws::Aws::new(aws_config(&self.emulator))
    }

    pub(crate) fn instance(&self) -> InstanceId {
        INSTANCE.parse().unwrap()
    }

    /// Takes the permission for `action` from the client.
    pub(crate) fn denies(&self, action: &str) {
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "NotAction": action, "Resource": "*"},
        ]});
        let key = self.emulator.access().access_key_id().to_owned();
        assert!(self.emulator.set_policies(&key, vec![serde_json::from_value(policy).unwrap()]));
    }

    /// The instance, with its user.
    pub(crate) fn target(&self) -> InstanceTarget {
        let mut target = InstanceTarget::new(self.instance());
        target.os_user = self.os_user.parse().unwrap();
        target
    }

    /// Opens a connection to `target`; it must succeed.
    pub(crate) async fn host(&self, target: &InstanceTarget) -> Box<dyn Host> {
        self.try_host(target).await.unwrap_or_else(|error| panic!("{error}: {}", error.chain()))
    }

    pub(crate) async fn try_host(&self, target: &InstanceTarget) -> Result<Box<dyn Host>, StageError> {
        self.connector.connect(&Target::from(target.clone()), &|_: StageEvent| {}).await
    }

    /// Runs `command` on the instance without a PTY, to its end.
    pub(crate) async fn command(&self, command: &str) -> (Box<dyn Host>, Console) {
        let mut target = self.target();
        target.shell = Shell::Command(command.to_owned());
        let host = self.host(&target).await;
        let console = console(&*host, &TerminalRequest::without_pty()).await;
        (host, console)
    }

    /// What there is when nothing goes on: counted after a first connection came and went, which fills caches and
    /// pools.
    pub(crate) async fn census(&self) -> Census {
        let host = self.host(&self.target()).await;
        host.close().await;
        drop(host);
        self.settled().await
    }

    /// What there is, once nothing but the pools is left of what was: its tasks, and its sockets to the tunnel and
    /// to sshd, of which there must be none.
    pub(crate) async fn settled(&self) -> Census {
        let mut of = vec![self.emulator.access().tunnel_addr()];
        of.extend(self.sshd);
        of.extend(self.emulator.ssh_addr(&self.instance()));
        Census::settled(&of, self.emulator.access().api_addr()).await
    }
}

/// Opens a terminal on `host`.
pub(crate) async fn console(host: &dyn Host, request: &TerminalRequest) -> Console {
    let opened = host.open_terminal(request, &|_: StageEvent| {}).await;
    Console::new(opened.unwrap_or_else(|error| panic!("{error}: {}", error.chain())))
}

/// The process's TLS provider, as `main` installs it.
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
